import type { EventDraft, OwnedPartition } from '@omium/log'
import { aggregateKey } from '@omium/schemas'

const tenant = 'ten_local'
/** ExecutionRequested, ExecutionStarted, ten steps, ExecutionCompleted */
const eventsPerRun = 13
/** one run in so many stays open, so that there is live state to fold and to keep */
const openEvery = 50
const runsPerAppend = 20
const appendsInFlight = 64

/** Appends the events of ten-step runs until there are about so many; resolves with how many there are. */
export const fillPartition = async (partition: OwnedPartition<unknown>, events: number): Promise<number> => {
  const runs = Math.ceil(events / eventsPerRun)
  const inFlight = new Set<Promise<unknown>>()
  let appended = 0
  for (let first = 0; first < runs; first += runsPerAppend) {
    const drafts: EventDraft[] = []
    for (let run = first; run < Math.min(runs, first + runsPerAppend); run++) drafts.push(...eventsOfRun(run))
    appended += drafts.length
    const append: Promise<unknown> = partition.append(drafts).finally(() => inFlight.delete(append))
    inFlight.add(append)
    if (inFlight.size >= appendsInFlight) await Promise.race(inFlight)
  }
  await Promise.all(inFlight)
  return appended
}

const eventsOfRun = (run: number): EventDraft[] => {
  const executionId = `exe_bench_${run}`
  const aggregate = aggregateKey('execution', tenant, executionId)
  const draft = (type: string, data: unknown, closes = false): EventDraft => ({
    type,
    data,
    aggregate,
    tenant,
    actor: 'bench',
    correlationId: executionId,
    ...(closes && { closes }),
  })
  const drafts = [
    draft('ExecutionRequested', {
      executionId,
      agentId: 'bench-ten-steps',
      input: { inline: { start: 1 } },
      requestHash: 'bench',
      options: { priority: 0 },
    }),
    draft('ExecutionStarted', { attempt: 1, workerId: 'wrk_bench' }),
  ]
  for (let step = 0; step < 10; step++)
    drafts.push(
      draft('StepCompleted', {
        attempt: 1,
        path: `step-${step}#1`,
        name: `step-${step}`,
        kind: 'step',
        stepAttempt: 1,
        requestHash: '0123456789abcdef',
        output: { inline: { value: step + 2 } },
        startedAt: 1_750_000_000_000,
        durationMs: 0.1,
      }),
    )
  if (run % openEvery !== 0) drafts.push(draft('ExecutionCompleted', { attempt: 1, output: { inline: 11 } }, true))
  return drafts
}
