import {
  type CheckpointPolicy,
  type EventEnvelope,
  type ExecutionEvent,
  JournalCollector,
  type Payload,
  parseAggregateKey,
  type RunPoint,
  type SettledEntry,
} from '@omium/schemas'

/**
 * Tells from the events of executions which checkpoints are due.
 *
 * 1. The answer depends on the events alone: whoever reads them again comes to the same checkpoints with the same ids.
 * 2. Only runs whose options ask for checkpoints are watched; of all others only explicit checkpoints are seen.
 */
export interface DueCheckpoint {
  readonly tenant: string
  readonly threadId: string
  readonly checkpointId: string
  readonly parentId: string | null
  readonly label: string
  readonly point: RunPoint
  /** a run's journal as it was then, or a state that the run itself gave */
  readonly content:
    | {
        readonly kind: 'run'
        readonly seed: Payload | undefined
        readonly seedUpto: string | undefined
        readonly entries: readonly SettledEntry[]
      }
    | { readonly kind: 'state'; readonly output: Payload }
}

interface Watched {
  readonly policy: CheckpointPolicy
  readonly journal: JournalCollector
  readonly firstOffset: number
  lastId: string | null
  lastAt: number
}

export type Place = Pick<EventEnvelope, 'aggregate' | 'tenant' | 'version' | 'time'> & { readonly offset: number }

const terminal = new Set(['ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled'])
const idOf = (kind: string, version: number): string => `${kind}-${String(version).padStart(8, '0')}`

export class RunWatch {
  readonly #runs = new Map<string, Watched>()
  /** requested in the batch that is being read: their options are not known yet */
  readonly #unread = new Set<string>()

  /** Which events have to be decoded. */
  wants({ type, aggregate }: Pick<EventEnvelope, 'type' | 'aggregate'>): boolean {
    if (type === 'ExecutionRequested') this.#unread.add(aggregate)
    return type === 'StepCompleted' || this.#unread.has(aggregate) || this.#runs.has(aggregate)
  }

  /** The batch is over: what is not watched by now will not be. */
  settle(): void {
    this.#unread.clear()
  }

  /** offset of the first event of the oldest run that is watched */
  get firstOffset(): number | undefined {
    const [oldest] = this.#runs.values()
    return oldest?.firstOffset
  }

  forget(): void {
    this.#runs.clear()
    this.#unread.clear()
  }

  /** Takes the events in the order of the log. */
  add(event: ExecutionEvent, { aggregate, tenant, version, time, offset }: Place): DueCheckpoint[] {
    const executionId = parseAggregateKey(aggregate)?.id
    if (executionId === undefined || !aggregate.startsWith('execution:')) return []
    if (event.type === 'ExecutionRequested') {
      const policy = event.data.options.checkpoints
      if (policy && asksForAny(policy)) {
        this.#runs.set(aggregate, {
          policy,
          journal: new JournalCollector(),
          firstOffset: offset,
          lastId: null,
          lastAt: time,
        })
      }
    }
    const run = this.#runs.get(aggregate)
    run?.journal.add(event)
    const due: DueCheckpoint[] = []
    const base = { tenant, threadId: executionId }
    if (event.type === 'StepCompleted' && event.data.kind === 'checkpoint') {
      const { path, name, output } = event.data
      due.push({
        ...base,
        checkpointId: idOf('state', version),
        parentId: null,
        label: name,
        point: { executionId, version, path },
        content: { kind: 'state', output },
      })
    }
    const reason = run ? reasonFor(run, event, time) : null
    if (run && reason !== null) {
      const checkpointId = idOf('run', version)
      const path = settledPathOf(event)
      const { seed, seedUpto, entries } = run.journal
      due.push({
        ...base,
        checkpointId,
        parentId: run.lastId,
        label: reason,
        point: { executionId, version, ...(path !== null && { path }) },
        content: { kind: 'run', seed, seedUpto, entries },
      })
      run.lastId = checkpointId
      run.lastAt = time
    }
    if (terminal.has(event.type)) this.#runs.delete(aggregate)
    return due
  }
}

const asksForAny = ({ every, everyMs, beforeEffects }: CheckpointPolicy): boolean =>
  every !== 'never' || everyMs !== undefined || beforeEffects === true

/** Why a checkpoint is due now, or null. */
const reasonFor = ({ policy, lastAt }: Watched, event: ExecutionEvent, time: number): string | null => {
  if (event.type === 'StepStarted') {
    return policy.beforeEffects && event.data.intent ? `before ${event.data.path}` : null
  }
  const path = settledPathOf(event)
  if (path === null) return null
  if (policy.every === 'step' || (policy.every === 'task' && !path.includes('/'))) return `after ${path}`
  return policy.everyMs !== undefined && time - lastAt >= policy.everyMs ? `after ${path}` : null
}

/** The path that this event settles, if it settles one. */
const settledPathOf = ({ type, data }: ExecutionEvent): string | null => {
  switch (type) {
    case 'StepCompleted':
    case 'TimerFired':
    case 'WaitResolved':
    case 'ApprovalDecided':
    case 'ChildFinished':
      return data.path
    case 'StepFailed':
      return data.retryAt === null ? data.path : null
    case 'StepOutcomeResolved':
      return data.resolution.status === 'retry' ? null : data.path
    default:
      return null
  }
}
