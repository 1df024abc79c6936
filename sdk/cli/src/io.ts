/** The world of one invocation; specs bring their own. */
export interface Io {
  /** a line for whoever asked: results only */
  out(line: string): void
  /** a line beside the result: progress, prompts, errors */
  err(line: string): void
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

export const processIo = (): Io => {
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort())
  return {
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
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
