import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'

/**
 * The workers' own account of what they really did: one JSON line for each tool call and each published report, appended
 * when the work is done. Only code that runs writes it, a replay doesn't, so it tells whether a recorded step ran twice.
 */
const workDone = z.object({
  /** ms since the epoch */
  at: z.number(),
  pid: z.number().int(),
  tool: z.string(),
  executionId: z.string(),
  /** canonical JSON of what it was called with */
  request: z.string(),
})
export type WorkDone = z.infer<typeof workDone>

/** Appends to the file that `OMIUM_DEMO_WORK_LOG` names; without it, does nothing. */
export const recordWork = (work: Pick<WorkDone, 'tool' | 'executionId' | 'request'>): void => {
  const path = process.env['OMIUM_DEMO_WORK_LOG']
  if (path) appendFileSync(path, `${JSON.stringify({ at: Date.now(), pid: process.pid, ...work })}\n`)
}

export const readWorkLog = (path: string): WorkDone[] =>
  existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => workDone.parse(JSON.parse(line)))
    : []
