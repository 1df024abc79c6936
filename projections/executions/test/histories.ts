import { aggregateKey, type ExecutionEvent } from '@omium/schemas'
import type { ScriptedLog } from './scripted-log.ts'

const options = { priority: 0 }
export const requested = (executionId: string, agentId = 'writer'): ExecutionEvent => ({
  type: 'ExecutionRequested',
  data: { executionId, agentId, input: { inline: { topic: 'logs' } }, requestHash: 'h', options },
})
export const started = (attempt = 1): ExecutionEvent => ({ type: 'ExecutionStarted', data: { attempt, workerId: 'w' } })
export const stepCompleted = (n: number, output: unknown = { n }): ExecutionEvent => ({
  type: 'StepCompleted',
  data: {
    attempt: 1,
    path: `step#${n}`,
    name: 'step',
    kind: 'llm',
    stepAttempt: 1,
    requestHash: 'h',
    output: { inline: output as null },
    usage: { model: 'm', inputTokens: 10, outputTokens: 5, costMicroCredits: 7 },
    startedAt: 1_700_000_000_000,
    durationMs: 12.5,
  },
})
export const completed = (output: unknown = 'done'): ExecutionEvent => ({
  type: 'ExecutionCompleted',
  data: { attempt: 1, output: { inline: output as null } },
})

/** `runs` ten-step runs at a time, interleaved as a busy partition shows them: 13 events each. */
export const writeRuns = (log: ScriptedLog, prefix: string, runs: number, partitions = 1): number => {
  const steps = [
    ...Array.from({ length: 10 }, (_, n) =>
      stepCompleted(n + 1, { text: 'the quick brown fox jumps over the lazy dog' }),
    ),
    completed(),
  ]
  let count = 0
  const put = (run: number, event: ExecutionEvent) => {
    const aggregate = aggregateKey('execution', 'ten_a', `${prefix}-${run}`)
    log.append(event, { partition: run % partitions, aggregate, time: 1_700_000_000_000 + count++ })
  }
  for (let run = 0; run < runs; run++) {
    put(run, requested(`${prefix}-${run}`))
    put(run, started())
  }
  for (const step of steps) for (let run = 0; run < runs; run++) put(run, step)
  return count
}
