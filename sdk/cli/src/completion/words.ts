import type { Command } from 'commander'

/** What may come at one place of a command line. */
export interface Place {
  /** from `omium` on: `omium keys create` */
  readonly path: string
  /** commands below it by each of their names, with the path that they lead to */
  readonly commands: Readonly<Record<string, string>>
  /** options and values of arguments that are chosen from a list */
  readonly words: readonly string[]
  /** values of options that are chosen from a list, by the option */
  readonly choices: Readonly<Record<string, readonly string[]>>
}

/** All places of a program, the program itself first. */
export const wordsOf = (command: Command, path = command.name()): Place[] => {
  const subcommands = command.commands
  const options = command.createHelp().visibleOptions(command)
  const flags = options.flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined))
  const chosen = options.flatMap(({ short, long, argChoices }) =>
    argChoices ? [short, long].flatMap((flag) => (flag ? [[flag, argChoices] as const] : [])) : [],
  )
  const values = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? [])
  const place: Place = {
    path,
    commands: Object.fromEntries(
      subcommands.flatMap((one) => [one.name(), ...one.aliases()].map((name) => [name, `${path} ${one.name()}`])),
    ),
    words: [...values, ...flags],
    choices: Object.fromEntries(chosen),
  }
  return [place, ...subcommands.flatMap((one) => wordsOf(one, `${path} ${one.name()}`))]
}
