import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { z } from 'zod'

/**
 * The server's own account of what it was asked: append-only JSON lines, written at once, so that what a killed client
 * did is known without asking it. `received` comes before the latency, `answered` when the answer was handed to the
 * socket; a call with no `answered` line was cut by its client.
 */
export const callLogEntry = z.object({
  event: z.enum(['received', 'answered', 'refused']),
  /** counts the calls of this server from 1 */
  call: z.number().int().positive(),
  /** ms since the epoch */
  at: z.number(),
  /** `hashJson` of the request without its streaming options: the same call made twice has the same hash */
  requestHash: z.string(),
  answerId: z.string().optional(),
  promptTokens: z.number().int().optional(),
  completionTokens: z.number().int().optional(),
})
export type CallLogEntry = z.infer<typeof callLogEntry>

export interface CallLog {
  append(entry: CallLogEntry): void
  close(): void
}

/** Opens the file for appending. A synchronous write of a short line is what makes it a record of the moment. */
export const openCallLog = (path: string): CallLog => {
  const file = openSync(path, 'a')
  return {
    append: (entry) => {
      writeSync(file, `${JSON.stringify(entry)}\n`)
    },
    close: () => closeSync(file),
  }
}

export const readCallLog = (path: string): CallLogEntry[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => callLogEntry.parse(JSON.parse(line)))
