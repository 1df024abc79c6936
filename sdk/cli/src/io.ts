/** The world of one invocation; specs bring their own. */
export interface Io {
  /** a line for whoever asked: results only */
  out(line: string): void
  /** a line beside the result: progress, prompts, errors */
  err(line: string): void
  /** a picture beside the result, made by the command itself: it goes to the terminal as it is */
  draw(picture: string): void
  readStdin(): Promise<string>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** a person can be asked: what they type comes here, and they see what is said beside the result */
  readonly interactive: boolean
  /** what a person types at a question; the terminal's own prompts unless given */
  readonly typed?: (question: string) => string
  /** aborts at the first Ctrl-C */
  readonly interrupted: AbortSignal
}

/**
 * Text as it may go to a terminal: what runs, other members and providers say must not move its cursor, change its title or turn
 * its words around. Control characters (ECMA-48, C0 and C1) and those that reorder text are shown as JSON writes them, so that JSON
 * stays JSON.
 */
export const visible = (text: string): string =>
  text.replace(unsafe, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g

export const processIo = (): Io => {
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort())
  return {
    out: (line) => process.stdout.write(`${visible(line)}\n`),
    err: (line) => process.stderr.write(`${visible(line)}\n`),
    draw: (picture) => process.stderr.write(`${picture}\n`),
    async readStdin() {
      let text = ''
      for await (const chunk of process.stdin) text += chunk
      return text
    },
    env: process.env,
    cwd: process.cwd(),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    interrupted: interrupt.signal,
  }
}
