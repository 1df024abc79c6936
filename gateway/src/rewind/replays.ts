import { type ExecutionRecord, listExecutions } from '@omium/projection-executions'
import {
  aggregateKey,
  type createReplayBody,
  type ExecutionOptions,
  errorCatalogue,
  executionOptions,
  hashJson,
  isTerminal,
  OmiumError,
  type ReplayReceipt,
  type ReplayReport,
} from '@omium/schemas'
import type { z } from 'zod'
import type { Asker } from '../commands.ts'
import { requireExecution } from '../reads.ts'
import type { Services } from '../services.ts'
import { comparedRun, type RunHistory } from './history.ts'
import { keptCount } from './preview.ts'
import { startFork } from './start-fork.ts'
import { busyMs } from './sums.ts'

/**
 * Runs of the past, run once more otherwise: forks that make nothing but model calls and are found by a label.
 *
 * 1. Nothing is stored about a replay but its forks: their label says to which it belongs, their origin what they repeat.
 * 2. Ids of forks follow from the replay's id, so that a request sent twice starts each once. The first fork's id follows
 *    from that alone, and the engine knows it by all that was asked: who asks for other runs, changes or budgets under the
 *    same id is refused before anything else starts.
 * 3. The budget of the set is shared out evenly before anything starts: together the forks can never spend more.
 */
type CreateReplay = z.infer<typeof createReplayBody>

const atOnce = 4
const pageSize = 200
const mostRuns = 1000

const inParallel = async <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = new Array(items.length)
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as T)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
  return results
}

/** @param of absent for the first fork of the replay */
const forkIdOf = (replayId: string, ...of: string[]): string =>
  `exe_${hashJson(['replay', replayId, ...of]).slice(0, 32)}`

const budgetFor = ({ budget }: CreateReplay, runs: number): number | undefined => {
  const limits = [budget?.perRunMicroCredits]
  if (budget?.totalMicroCredits !== undefined) limits.push(Math.floor(budget.totalMicroCredits / Math.max(1, runs)))
  const given = limits.filter((limit) => limit !== undefined)
  return given.length > 0 ? Math.min(...given) : undefined
}

const optionsOf = (
  source: ExecutionOptions,
  labels: Record<string, string>,
  budgetMicroCredits: number | undefined,
): ExecutionOptions => {
  // neither its place in a queue nor its recovery is what is tried out
  const { priority, timeoutMs, retry, budgetMicroCredits: own } = source
  const budget = budgetMicroCredits ?? own
  return executionOptions.parse({
    priority,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(retry && { retry }),
    ...(budget !== undefined && { budgetMicroCredits: budget }),
    labels,
    simulate: true,
  })
}

const idsOf = async ({ reads }: Services, tenant: string, { runs }: CreateReplay): Promise<readonly string[]> => {
  if ('ids' in runs) return [...new Set(runs.ids)]
  const { agent, status = 'completed', last } = runs
  // what earlier replays have simulated is no past of the agent's
  const { items } = await listExecutions(reads, tenant, { agent, status, withoutLabel: 'replay', limit: last })
  return items.map(({ id }) => id)
}

/** @throws OmiumError `invalid_request` when no run fits, `execution_conflict` when the id stands for another replay */
export const startReplay = async (
  services: Services,
  asker: Asker,
  replayId: string,
  body: CreateReplay,
): Promise<ReplayReceipt> => {
  const { tenant } = asker
  const { id: _, ...asked } = body
  const { from, outputs, overrides, agent } = asked
  const runs = await idsOf(services, tenant, body)
  if (runs.length === 0) throw new OmiumError('invalid_request', 'runs: there is no such run to replay')
  const budget = budgetFor(body, runs.length)
  const started: ReplayReceipt['started'] = []
  const refused: ReplayReceipt['refused'] = []
  const replay = { id: replayId, asked: hashJson({ ...asked, runs }) }
  const startOne = async (of: string, executionId: string): Promise<void> => {
    try {
      const record = await requireExecution(services, tenant, of)
      if (!isTerminal(record.status)) {
        throw new OmiumError('invalid_request', `execution ${of} is ${record.status}; replays are of finished runs`)
      }
      const history = await services.histories.read(tenant, record)
      const kept = keptFrom(history, from)
      const options = optionsOf(record.options, { replay: replayId, 'replay-of': of }, budget)
      const changes = {
        toPath: history.steps[kept - 1]?.path ?? null,
        ...(outputs && { outputs }),
        ...(overrides && { overrides }),
        ...(agent !== undefined && { agent }),
      }
      await startFork(services, asker, executionId, history, changes, options, replay)
      // the report is made from the read model: whoever asks for it next finds all that was started
      await services.executions.untilCurrent(aggregateKey('execution', tenant, executionId))
      started.push({ of, executionId })
    } catch (error) {
      const known = error instanceof OmiumError ? error : undefined
      if (known?.code === 'execution_conflict') {
        const detail = `replay ${replayId} was started with other runs, changes or budgets; choose another id for this one`
        throw new OmiumError('execution_conflict', detail)
      }
      // what may pass is the caller's to send again: everything that was started stays started
      if (!known || errorCatalogue[known.code].status >= 500) throw error
      refused.push({ of, error: known.toFailure() })
    }
  }
  let next = 0
  while (next < runs.length && started.length === 0) await startOne(runs[next++] as string, forkIdOf(replayId))
  await inParallel(runs.slice(next), (of) => startOne(of, forkIdOf(replayId, of)))
  return { id: replayId, started, refused }
}

const keptFrom = (history: RunHistory, from: CreateReplay['from']): number => {
  if (!from) return 0
  return 'step' in from ? Math.min(from.step, history.steps.length) : keptCount(history, from.path) - 1
}

const forksOf = async ({ reads }: Services, tenant: string, replayId: string): Promise<ExecutionRecord[]> => {
  const forks: ExecutionRecord[] = []
  for (let cursor: string | undefined; forks.length < mostRuns; ) {
    const page = await listExecutions(reads, tenant, { labels: { replay: replayId }, limit: pageSize, cursor })
    forks.push(...page.items)
    cursor = page.nextCursor
    if (cursor === undefined) break
  }
  return forks
}

type ReportedRun = ReplayReport['runs'][number]
type Compared = ReportedRun['costMicroCredits']
const compared = (was: number, is: number): Compared => ({ was, is, delta: is - was })

interface ModelCalls {
  readonly calls: number
  readonly cost: number
  readonly ms: number
}
const modelCallsIn = (steps: RunHistory['steps']): ModelCalls => {
  const calls = steps.filter(({ kind }) => kind === 'llm')
  const cost = calls.reduce((sum, { usage }) => sum + (usage.costMicroCredits ?? 0), 0)
  return { calls: calls.length, cost, ms: busyMs(calls) }
}

const outcomeOf = (fork: RunHistory, source: RunHistory): ReportedRun['outcome'] => {
  const { status, error } = fork.record
  if (!isTerminal(status)) return 'running'
  if (error?.code === 'replay_miss') return 'missed'
  if (error?.code === 'budget_exceeded') return 'over_budget'
  const [is, was] = [comparedRun(fork), comparedRun(source)]
  if (is.status === was.status && is.outcomeDigest === was.outcomeDigest) return 'same'
  return status === 'completed' ? 'different' : 'failed'
}

/** @throws OmiumError `not_found` */
export const reportReplay = async (services: Services, tenant: string, replayId: string): Promise<ReplayReport> => {
  const forks = await forksOf(services, tenant, replayId)
  if (forks.length === 0) throw new OmiumError('not_found', `there is no replay ${replayId}`)
  const runs = await inParallel(forks, async ({ id, forkedFrom }): Promise<ReportedRun> => {
    const of = forkedFrom ?? id
    await services.executions.untilCurrent(aggregateKey('execution', tenant, id))
    const fork = await services.histories.read(tenant, await requireExecution(services, tenant, id))
    const source = await services.histories.read(tenant, await requireExecution(services, tenant, of))
    const taken = new Set(fork.steps.filter(({ seeded }) => seeded).map(({ path }) => path))
    const was = modelCallsIn(source.steps.filter(({ path }) => !taken.has(path)))
    const is = modelCallsIn(fork.steps.filter(({ seeded }) => !seeded))
    const { error } = fork.record
    return {
      of,
      executionId: id,
      status: fork.record.status,
      outcome: outcomeOf(fork, source),
      ...(error && { error }),
      modelCalls: compared(was.calls, is.calls),
      costMicroCredits: compared(was.cost, is.cost),
      modelMs: compared(was.ms, is.ms),
    }
  })
  const ended = runs.filter(({ outcome }) => outcome !== 'running')
  const total = (part: 'modelCalls' | 'costMicroCredits' | 'modelMs'): Compared =>
    compared(
      ended.reduce((sum, run) => sum + run[part].was, 0),
      ended.reduce((sum, run) => sum + run[part].is, 0),
    )
  const outcomes: Record<string, number> = {}
  for (const { outcome } of runs) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  return {
    id: replayId,
    runs,
    outcomes,
    total: { modelCalls: total('modelCalls'), costMicroCredits: total('costMicroCredits'), modelMs: total('modelMs') },
  }
}
