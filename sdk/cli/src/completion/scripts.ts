import type { Place } from './words.ts'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** Words of ours only: letters, digits, `-`, `_`, `:` and `.`, so that no shell has to be told how to read them. */
const quoted = (words: readonly string[]): string => `'${words.filter((word) => /^[\w.:-]+$/.test(word)).join(' ')}'`

/** The path that a command leads to, for every way to write it. */
const steps = (places: readonly Place[]): (readonly [string, string])[] =>
  places.flatMap(({ path, commands }) => Object.entries(commands).map(([name, to]) => [`${path} ${name}`, to] as const))

const candidates = ({ commands, words }: Place): string => quoted([...Object.keys(commands), ...words])

const chosen = (places: readonly Place[]): (readonly [string, string])[] =>
  places.flatMap(({ path, choices }) =>
    Object.entries(choices).map(([option, values]) => [`${path} ${option}`, quoted(values)] as const),
  )

/** What bash and zsh read alike: `$1` is where the command line stands, what may follow is printed. */
const posixFunctions = (places: readonly Place[]): string => `_omium_step() {
  case "$1" in
${steps(places)
  .map(([from, to]) => `    '${from}') echo '${to}' ;;`)
  .join('\n')}
  esac
}
_omium_words() {
  local at=omium to word last=
  for word in "$@"; do
    to=$(_omium_step "$at $word")
    [ -n "$to" ] && at=$to
    last=$word
  done
  case "$at $last" in
${chosen(places)
  .map(([option, values]) => `    '${option}') echo ${values}; return ;;`)
  .join('\n')}
  esac
  case "$at" in
${places.map((place) => `    '${place.path}') echo ${candidates(place)} ;;`).join('\n')}
  esac
}`

const scripts: Readonly<Record<Shell, (places: readonly Place[]) => string>> = {
  bash: (places) => `# omium completion bash: put  source <(omium completion bash)  into ~/.bashrc
${posixFunctions(places)}
_omium() {
  COMPREPLY=($(compgen -W "$(_omium_words "\${COMP_WORDS[@]:1:COMP_CWORD-1}")" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _omium omium
`,
  zsh: (places) => `#compdef omium
# omium completion zsh: put  source <(omium completion zsh)  into ~/.zshrc, behind compinit
${posixFunctions(places)}
_omium() {
  compadd -- \${=$(_omium_words "\${(@)words[2,CURRENT-1]}")} || _default
}
(( $+functions[compdef] )) && compdef _omium omium
`,
  fish: (places) => `# omium completion fish: put  omium completion fish | source  into ~/.config/fish/config.fish
function __omium_step
  switch "$argv[1]"
${steps(places)
  .map(([from, to]) => `    case '${from}'; echo '${to}'`)
  .join('\n')}
  end
end
function __omium_words
  set -l at omium
  set -l last
  for word in $argv
    set -l to (__omium_step "$at $word")
    test -n "$to"; and set at $to
    set last $word
  end
  switch "$at $last"
${chosen(places)
  .map(([option, values]) => `    case '${option}'; string split -- ' ' ${values}; return`)
  .join('\n')}
  end
  switch "$at"
${places.map((place) => `    case '${place.path}'; string split -- ' ' ${candidates(place)}`).join('\n')}
  end
end
function __omium_fits
  for word in (__omium_words (commandline -opc)[2..-1])
    string match -q -- (commandline -ct)'*' $word; and return 0
  end
  return 1
end
complete -c omium -f -n __omium_fits -a '(__omium_words (commandline -opc)[2..-1])'
`,
}

export const completionScript = (shell: Shell, places: readonly Place[]): string => scripts[shell](places)
