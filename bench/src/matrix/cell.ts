import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type EventView, type FailureFacts, type IncidentDetail, OmiumError } from '@omium/schemas'
import type { Client, RunHandle } from '@omium/sdk'
import { expected, type Fault, type Framework, type Outcome, outcomeOf, policyNameOf } from './expected.ts'
import { tooLong } from './model-endpoint.ts'
import type { Workers } from './workers.ts'

/** One run that fails in one way, and what became of it. */
export interface Cell {
  readonly framework: Framework
  readonly fault: Fault
  readonly runId: string
  readonly expected: Outcome
  /** strategies that were planned, in order; `handed on`, `framework`, or how the run ended when it was none of these */
  readonly got: string
  /** of the incident, when there is one */
  readonly class?: string
  /** from the failure on the log to the moment when the run got past it; of escalations, to the question */
  readonly ms?: number
  /** what is not as it has to be */
  readonly deviations: readonly string[]
}

export interface CellSettings {
  readonly client: Client
  readonly actsLog: string
  readonly workers: Workers
}

const patienceMs = 90_000

const patiently = async <T>(what: () => string, look: () => Promise<T | undefined> | T | undefined): Promise<T> => {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`${what()} did not come within ${patienceMs} ms`)
    await delay(25)
  }
}

const inputOf = (framework: Framework, fault: Fault, runId: string): unknown => {
  const mark = `[fault:${fault} run:${runId}]`
  const prompt = fault === 'context_length' ? `${tooLong}${mark}` : mark
  const poison = fault === 'poison_input'
  switch (framework) {
    case 'langgraph':
      return poison ? 'poison' : { messages: [{ role: 'user', content: prompt }] }
    case 'autogen':
    case 'semantic_kernel':
      return poison ? { poison: true } : prompt
    default:
      return poison ? 'poison' : { prompt }
  }
}

interface Followed {
  readonly events: readonly EventView[]
  /** the run waits for a person */
  readonly asked: boolean
}

const ends = new Set(['ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled'])

/** Until the run has ended, or waits for a person. */
const follow = async (run: RunHandle<unknown>, onStarted: (workerId: string) => void): Promise<Followed> => {
  const events: EventView[] = []
  for await (const event of run.events()) {
    events.push(event)
    if (event.type === 'ExecutionStarted') onStarted((event.data as { workerId: string }).workerId)
    const { action } = event.data as { action?: { type: string } }
    if (event.type === 'ExecutionRecovered' && action?.type === 'hold') return { events, asked: true }
    if (ends.has(event.type)) return { events, asked: false }
  }
  return { events, asked: false }
}

const strategiesOf = ({ history }: IncidentDetail): string[] =>
  history.flatMap(({ type, data }) => (type === 'RecoveryPlanned' ? [(data as { strategy: string }).strategy] : []))

/** What the run failed of each time, as the incident has it. */
const failuresIn = ({ history }: IncidentDetail): string =>
  history
    .flatMap(({ type, data }) => {
      if (type !== 'IncidentOpened' && type !== 'FailureRecurred') return []
      const { facts, classifiedBy } = data as { facts: FailureFacts; classifiedBy: string }
      return [`${facts.error.code}: ${facts.error.detail.slice(0, 300)} (${classifiedBy})`]
    })
    .join(' | ')

const timeOf = (event: EventView | undefined): number => (event ? Date.parse(event.time) : Number.NaN)

/** From the first such event to the first of the others after it. */
const between = (events: readonly EventView[], from: string, to: string): number | undefined => {
  const at = events.findIndex(({ type }) => type === from)
  const ms = timeOf(events.slice(at + 1).find(({ type }) => type === to)) - timeOf(events[at])
  return at >= 0 && Number.isFinite(ms) ? ms : undefined
}

const whatCameOfIt = async (
  client: Client,
  run: RunHandle<unknown>,
  { events, asked }: Followed,
): Promise<{ got: string; class?: string; ms?: number; failures?: string }> => {
  const last = events.at(-1)?.type ?? 'nothing'
  const failed = events.some(({ type }) => type === 'RecoveryAwaited')
  if (!failed) {
    if (last !== 'ExecutionCompleted') return { got: last }
    const got = events.some(({ type }) => type === 'AttemptLost') ? 'handed on' : 'framework'
    const ms = between(events, got === 'framework' ? 'StepFailed' : 'AttemptLost', 'StepCompleted')
    return { got, ...(ms !== undefined && { ms }) }
  }
  const incident = await patiently(
    () => `the end of incident ${run.id}.1`,
    async () => {
      const found = await client.recoveries.get(`${run.id}.1`).catch((error: unknown) => {
        if (error instanceof OmiumError && error.code === 'incident_unknown') return undefined
        throw error
      })
      return found && (found.closedAt !== undefined || (asked && found.status === 'escalated')) ? found : undefined
    },
  )
  const ms = asked ? between(events, 'RecoveryAwaited', 'ExecutionRecovered') : incident.recoveredInMs
  return {
    got: strategiesOf(incident).join(', '),
    failures: failuresIn(incident),
    ...(incident.class !== undefined && { class: incident.class }),
    ...(ms !== undefined && { ms }),
  }
}

export const runIdOf = (framework: Framework, fault: Fault, number: number): string => `${framework}-${fault}-${number}`

export const runCell = async (
  { client, actsLog, workers }: CellSettings,
  framework: Framework,
  fault: Fault,
  number: number,
): Promise<Cell> => {
  const runId = runIdOf(framework, fault, number)
  const acts = (): number =>
    readFileSync(actsLog, 'utf8')
      .split('\n')
      .filter((line) => line === runId).length
  const run = await client.start(`faulty_${framework}`, inputOf(framework, fault, runId), {
    id: runId,
    options: {
      recovery: { policy: policyNameOf(fault) },
      ...(fault === 'budget' && { budgetMicroCredits: 500 }),
    },
  })
  let holder = ''
  const following = follow(run, (workerId) => {
    holder = workerId
  })
  if (fault === 'worker_crash') {
    await patiently(
      () => `the tool of ${runId}`,
      () => (acts() > 0 && holder !== '' ? true : undefined),
    )
    await workers.kill(holder)
  }
  const overdue = delay(patienceMs, undefined, { ref: false }).then(() => undefined)
  const followed = await Promise.race([following, overdue])
  const wanted = outcomeOf(fault, framework)
  if (!followed) {
    const { status } = await run.get()
    await run.cancel('overdue')
    const deviations = [`is still ${status} after ${patienceMs} ms`]
    return { framework, fault, runId, expected: wanted, got: status, deviations }
  }
  const { failures = '', ...came } = await whatCameOfIt(client, run, followed)
  const deviations: string[] = []
  if (came.got !== wanted) deviations.push(`${wanted} expected, got ${came.got}: ${failures}`)
  if (came.class !== undefined && came.class !== fault) deviations.push(`classified as ${came.class}: ${failures}`)
  if (!followed.asked) {
    // waits until the read model has got there
    const { status, error } = await run.ended({ timeoutMs: patienceMs })
    const done =
      status === 'completed' && JSON.stringify(await run.result()).includes(`done [fault:${fault} run:${runId}]`)
    if (!done)
      deviations.push(`${status} without its answer${error ? `: ${error.code}: ${error.detail.slice(0, 500)}` : ''}`)
  } else await run.cancel('seen')
  const count = acts()
  const { acts: wantedActs } = expected[fault]
  if (wantedActs !== 'many' && count !== wantedActs) deviations.push(`acted ${count} times, not ${wantedActs}`)
  return { framework, fault, runId, expected: wanted, ...came, deviations }
}
