/** What an operator should read, as log lines: fields first, then the message. A logger is one. */
export interface Notices {
  info(fields: Record<string, unknown>, message: string): void
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}
