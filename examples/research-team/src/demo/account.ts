import { canonicalJson, type EventView, hashJson, type JsonValue } from '@omium/schemas'
import { z } from 'zod'
import type { WorkDone } from '../work-log.ts'

/**
 * What happened in a run and its children, worked out from three accounts that know nothing of each other: the events on
 * the log, the model server's call log, and the workers' log of work done. All of it is pure.
 *
 * The claim under test: no recorded step ran again. A step is recorded at its event's time. So for the calls and the steps
 * of one and the same request: after any moment at which a step was recorded, there may be no more calls than there are
 * steps recorded after that moment. A call that was in flight when its worker was killed came before; it breaks nothing.
 */
export interface SeenEvent {
  readonly executionId: string
  readonly event: EventView
  /** when this process heard of it, ms since the epoch */
  readonly seenAt: number
}

export interface StepRow {
  readonly executionId: string
  readonly agent: string
  readonly path: string
  readonly kind: string
  readonly status: 'completed' | 'failed'
  /** attempt of the execution in which it was recorded */
  readonly attempt: number
  /** later attempts of its execution, each of which got it from the journal */
  readonly replays: number
  readonly recordedAt: number
  readonly durationMs: number
  readonly tokens: number
  readonly costMicroCredits: number
  /** identity of what it asked the outside: the model's request, or a tool and its arguments */
  readonly requestKey: string | undefined
}

export interface Takeover {
  readonly executionId: string
  readonly agent: string
  readonly lostAttempt: number
  /** from the kill until a new attempt was accepted on the log, ms, as this process heard it */
  readonly startedAfterMs: number | undefined
  /** from the kill until the first step of the new attempt was accepted, ms */
  readonly firstStepAfterMs: number | undefined
}

export interface Kill {
  readonly at: number
  readonly workerId: string
}

const inlinePayload = z.object({ inline: z.custom<JsonValue>() }).transform((sealed) => sealed.inline)
const payloadValue = z.union([inlinePayload, z.custom<JsonValue>()])
const stepEvent = z.looseObject({
  attempt: z.number(),
  path: z.string(),
  name: z.string(),
  kind: z.string(),
  input: payloadValue.optional(),
  durationMs: z.number(),
  usage: z
    .looseObject({
      inputTokens: z.number().optional(),
      outputTokens: z.number().optional(),
      costMicroCredits: z.number().optional(),
    })
    .optional(),
})
const requested = z.looseObject({ agentId: z.string() })
const started = z.looseObject({ attempt: z.number(), workerId: z.string() })
const lost = z.looseObject({ attempt: z.number(), workerId: z.string() })
const child = z.looseObject({ childId: z.string(), path: z.string() })

export const startedBy = (event: EventView): z.infer<typeof started> | undefined =>
  event.type === 'ExecutionStarted' ? started.parse(event.data) : undefined

export const childOf = (event: EventView): z.infer<typeof child> | undefined =>
  event.type === 'ChildRequested' ? child.parse(event.data) : undefined

export const isStepResult = (event: EventView): boolean => event.type === 'StepCompleted' || event.type === 'StepFailed'

export const isModelCall = (event: EventView): boolean =>
  isStepResult(event) && stepEvent.parse(event.data).kind === 'llm'

/** Every recorded try of every step, in the order of recording. */
export const stepRows = (events: readonly SeenEvent[]): StepRow[] => {
  const agents = new Map<string, string>()
  const attempts = new Map<string, number>()
  for (const { executionId, event } of events) {
    if (event.type === 'ExecutionRequested') agents.set(executionId, requested.parse(event.data).agentId)
    const begun = startedBy(event)
    if (begun) attempts.set(executionId, Math.max(begun.attempt, attempts.get(executionId) ?? 0))
  }
  return events
    .filter(({ event }) => isStepResult(event))
    .map(({ executionId, event }): StepRow => {
      const step = stepEvent.parse(event.data)
      return {
        executionId,
        agent: agents.get(executionId) ?? '?',
        path: step.path,
        kind: step.kind,
        status: event.type === 'StepCompleted' ? 'completed' : 'failed',
        attempt: step.attempt,
        replays: (attempts.get(executionId) ?? step.attempt) - step.attempt,
        recordedAt: Date.parse(event.time),
        durationMs: step.durationMs,
        tokens: (step.usage?.inputTokens ?? 0) + (step.usage?.outputTokens ?? 0),
        costMicroCredits: step.usage?.costMicroCredits ?? 0,
        requestKey: requestKeyOf(executionId, step),
      }
    })
    .sort((a, b) => a.recordedAt - b.recordedAt)
}

const requestKeyOf = (executionId: string, step: z.infer<typeof stepEvent>): string | undefined => {
  if (step.input === undefined) return undefined
  if (step.kind === 'llm') return modelKey(hashJson(step.input))
  if (step.kind === 'tool') return toolKey(executionId, step.name, canonicalJson(step.input))
  return undefined
}

export const modelKey = (requestHash: string): string => `llm ${requestHash}`
const toolKey = (executionId: string, tool: string, request: string): string => `${executionId} ${tool} ${request}`

export interface OutsideCall {
  readonly key: string
  /** when it was made, ms since the epoch */
  readonly at: number
}

export const toolCalls = (work: readonly WorkDone[]): OutsideCall[] =>
  work.map((done) => ({ key: toolKey(done.executionId, done.tool, done.request), at: done.at }))

/** Requests that were made again after a step had recorded them; empty is what durable execution promises. */
export const repeatedAfterRecording = (
  calls: readonly OutsideCall[],
  recorded: readonly { readonly requestKey: string | undefined; readonly recordedAt: number }[],
): string[] => {
  const callTimes = Map.groupBy(calls, (call) => call.key)
  const recordTimes = Map.groupBy(recorded, (row) => row.requestKey)
  const repeated: string[] = []
  for (const [key, made] of callTimes) {
    const times = (recordTimes.get(key) ?? []).map((row) => row.recordedAt)
    const after = (moment: number, all: readonly number[]) => all.filter((time) => time > moment).length
    const madeAt = made.map((call) => call.at)
    if (times.some((moment) => after(moment, madeAt) > after(moment, times))) repeated.push(key)
  }
  return repeated
}

/** The executions that the killed worker held, and how long each stood still. */
export const takeovers = (events: readonly SeenEvent[], kill: Kill): Takeover[] => {
  const rows = stepRows(events)
  return events.flatMap(({ executionId, event }) => {
    if (event.type !== 'AttemptLost') return []
    const { attempt, workerId } = lost.parse(event.data)
    if (workerId !== kill.workerId) return []
    const after = (pick: (seen: SeenEvent) => boolean) => {
      const first = events.find((seen) => seen.executionId === executionId && pick(seen))
      return first && Math.max(0, first.seenAt - kill.at)
    }
    return [
      {
        executionId,
        agent: rows.find((row) => row.executionId === executionId)?.agent ?? '?',
        lostAttempt: attempt,
        startedAfterMs: after((seen) => (startedBy(seen.event)?.attempt ?? 0) > attempt),
        firstStepAfterMs: after(
          (seen) => isStepResult(seen.event) && stepEvent.parse(seen.event.data).attempt > attempt,
        ),
      },
    ]
  })
}
