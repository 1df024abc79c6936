import type { ExecutionCommand, ExecutionEvent, PermitCommand } from '@omium/schemas'
import { hashJson, isTerminal, requestHashOf } from '@omium/schemas'
import type { OpenChild } from './entries.ts'
import { type ExecutionState, openChildren } from './execution.ts'
import type { PermitPool } from './permits.ts'

/**
 * The commands that a run owes to other aggregates. They are derived from its state, never stored: whoever takes the
 * partition over derives the same ones, with the same ids, and sends them again.
 */
export interface OwedCommand {
  readonly id: string
  readonly to: { readonly type: 'execution' | 'permits'; readonly id: string }
  readonly command: ExecutionCommand | PermitCommand
  /** recorded once the command is on the log */
  readonly receipt: 'OutcomeDelivered' | 'PermitReturned' | null
}

const idOf = (what: string, tenant: string, ...parts: string[]): string =>
  `cmd_${what}_${hashJson([tenant, ...parts]).slice(0, 32)}`

/** The identity of a start by a parent: the same agent with the same input. */
export const childRequestHash = (child: Pick<OpenChild, 'agentId' | 'input'>): string =>
  requestHashOf({ agentId: child.agentId, input: child.input })

const startChild = (state: ExecutionState, child: OpenChild): OwedCommand => ({
  id: idOf('start', state.tenant, state.executionId, child.path, child.childId),
  to: { type: 'execution', id: child.childId },
  command: {
    type: 'StartExecution',
    data: {
      executionId: child.childId,
      agentId: child.agentId,
      input: child.input,
      requestHash: childRequestHash(child),
      options: child.options,
      parent: { executionId: state.executionId, path: child.path },
      ...(child.overrides && { overrides: child.overrides }),
    },
  },
  receipt: null,
})

const whyCancelled = (state: ExecutionState, child: OpenChild): string =>
  `its parent ${state.executionId} ${state.abandoned.has(child.childId) ? 'goes on without it' : `is ${state.status}`}`

const cancelChild = (state: ExecutionState, child: OpenChild): OwedCommand => ({
  id: idOf('cancel', state.tenant, state.executionId, child.path, child.childId),
  to: { type: 'execution', id: child.childId },
  command: { type: 'CancelExecution', data: { reason: whyCancelled(state, child) } },
  receipt: null,
})

/** Started before it is cancelled, as for a finished run: a child that never was could not report its end. */
const endAbandoned = (state: ExecutionState): OwedCommand[] =>
  [...state.abandoned.values()].flatMap((child) => [startChild(state, child), cancelChild(state, child)])

/** What is told with it is told once: under a budget the outcome waits until every grant is settled. */
const deliverOutcome = (state: ExecutionState): OwedCommand[] => {
  const { parent, outcome, delivered, grantedMicroCredits } = state
  if (!parent || !outcome || delivered || grantedMicroCredits > 0) return []
  const { executionId: childId, tenant, spentMicroCredits } = state
  return [
    {
      id: idOf('deliver', tenant, parent.executionId, parent.path, childId),
      to: { type: 'execution', id: parent.executionId },
      command: {
        type: 'DeliverChildOutcome',
        data: { path: parent.path, childId, outcome, ...(spentMicroCredits > 0 && { spentMicroCredits }) },
      },
      receipt: 'OutcomeDelivered',
    },
  ]
}

const permitCommand = (state: ExecutionState): OwedCommand[] => {
  const { concurrency, priority } = state.options
  if (!concurrency) return []
  const { executionId, tenant, permit } = state
  const to = { type: 'permits', id: concurrency.key } as const
  if (!isTerminal(state.status)) {
    if (permit !== 'awaiting') return []
    const data = { executionId, limit: concurrency.limit, priority }
    const id = idOf('acquire', tenant, concurrency.key, executionId)
    return [{ id, to, command: { type: 'AcquirePermit', data }, receipt: null }]
  }
  if (permit !== 'awaiting' && permit !== 'held') return []
  const id = idOf('release', tenant, concurrency.key, executionId)
  return [{ id, to, command: { type: 'ReleasePermit', data: { executionId } }, receipt: 'PermitReturned' }]
}

/** Everything that the run owes now, in the order in which it has to be sent. */
export const owedBy = (state: ExecutionState): OwedCommand[] => {
  const children = openChildren(state)
  const owed = children.map((child) => startChild(state, child))
  owed.push(...endAbandoned(state))
  // A finished run waits for its children to report. One that was never started could not, so it is started first.
  if (isTerminal(state.status))
    owed.push(...children.map((child) => cancelChild(state, child)), ...deliverOutcome(state))
  owed.push(...permitCommand(state))
  return owed
}

/** What these events, just applied to `state`, made the run owe. */
export const owedAfter = (state: ExecutionState, events: readonly ExecutionEvent[]): OwedCommand[] => {
  const owed: OwedCommand[] = []
  for (const { type, data } of events) {
    if (type === 'ExecutionRequested') owed.push(...permitCommand(state))
    else if (type === 'ExecutionRolledBack' || (type === 'ExecutionRecovered' && data.action.type === 'settle')) {
      owed.push(...endAbandoned(state))
    } else if (type === 'ChildRequested') {
      const child = state.open.get(data.path)
      if (child?.type === 'child') owed.push(startChild(state, child))
    } else if (type === 'ChildFinished') {
      // the last grant may be what the outcome waited for
      if (state.options.budgetMicroCredits !== undefined) owed.push(...deliverOutcome(state))
    } else if (type === 'ExecutionCompleted' || type === 'ExecutionFailed' || type === 'ExecutionCancelled') {
      owed.push(...openChildren(state).map((child) => cancelChild(state, child)))
      owed.push(...deliverOutcome(state), ...permitCommand(state))
    }
  }
  return owed
}

/** The pool's word to a run that it may start. Every holder gets it again after a takeover. */
export const grantOf = (pool: PermitPool, executionId: string): OwedCommand => ({
  id: idOf('grant', pool.tenant, pool.key, executionId),
  to: { type: 'execution', id: executionId },
  command: { type: 'GrantPermit', data: { key: pool.key } },
  receipt: null,
})

/** What a parent is told when its child cannot be started, e.g. because the id is taken. */
export const childRefused = (
  tenant: string,
  start: Extract<ExecutionCommand, { type: 'StartExecution' }>['data'],
  code: 'execution_conflict' | 'invalid_request',
  detail: string,
): OwedCommand | null =>
  start.parent
    ? {
        id: idOf('deliver', tenant, start.parent.executionId, start.parent.path, start.executionId),
        to: { type: 'execution', id: start.parent.executionId },
        command: {
          type: 'DeliverChildOutcome',
          data: {
            path: start.parent.path,
            childId: start.executionId,
            outcome: { status: 'failed', error: { code, detail, retryable: false } },
          },
        },
        receipt: null,
      }
    : null
