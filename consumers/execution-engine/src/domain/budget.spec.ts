import type { ExecutionCommand, ExecutionEvent } from '@omium/schemas'
import { isTerminal } from '@omium/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { child, completedStep, now, requestedWith, running, startedStep } from '../../test/given.ts'
import { decideCommand, loseAttempt, startAttempt } from './decide.ts'
import type { Decision } from './decision.ts'
import { evolve } from './evolve.ts'
import type { ExecutionState } from './execution.ts'
import { type OwedCommand, owedAfter, owedBy } from './outbox.ts'
import { decideRequest, type WorkerRequest } from './requests.ts'

const granted = (decision: Decision): (number | undefined)[] =>
  decision.status === 'decided'
    ? decision.events.flatMap((event) =>
        event.type === 'ChildRequested' ? [event.data.options.budgetMicroCredits] : [],
      )
    : []

const ended = (path: string, childId: string, spentMicroCredits: number): ExecutionCommand => ({
  type: 'DeliverChildOutcome',
  data: { path, childId, outcome: { status: 'cancelled' }, spentMicroCredits },
})

describe('a child under a budget', () => {
  const parent = () => running({ budgetMicroCredits: 100 })

  it('gets what is left when it is the only one', () => {
    const story = parent().with(startedStep('a#1', 30))
    expect(granted(story.ask(child('c#1', 'kid')))).toEqual([70])
    expect(story.state).toMatchObject({ reservedMicroCredits: 30, grantedMicroCredits: 70 })
    expect(story.ask(startedStep('b#1', 1))).toMatchObject({ code: 'budget_exceeded' })
  })
  it('is not to be had, and no call either, once a call has cost more than the budget', () => {
    const story = parent().with(startedStep('a#1', 30), completedStep('a#1', 1, 1, 130))
    expect(story.ask(startedStep('b#1', 0))).toMatchObject({ code: 'budget_exceeded' })
    expect(granted(story.ask(child('c#1', 'kid')))).toEqual([0])
  })
  it('gets its share when others come with it', () => {
    const story = parent()
    expect(granted(story.ask(child('c#1', 'kid-1', {}, 3)))).toEqual([33])
    expect(granted(story.ask(child('c#2', 'kid-2', {}, 2)))).toEqual([33])
    expect(granted(story.ask(child('c#3', 'kid-3', {}, 1)))).toEqual([34])
  })
  it('gets what it asks for, as far as it is there', () => {
    const story = parent()
    expect(granted(story.ask(child('c#1', 'kid-1', { budgetMicroCredits: 60 })))).toEqual([60])
    expect(granted(story.ask(child('c#2', 'kid-2', { budgetMicroCredits: 60 })))).toEqual([40])
    expect(granted(story.ask(child('c#3', 'kid-3')))).toEqual([0])
  })
  it('gives back what it did not spend', () => {
    const story = parent().with(child('c#1', 'kid'), ended('c#1', 'kid', 45))
    expect(story.state).toMatchObject({ spentMicroCredits: 45, grantedMicroCredits: 0 })
    expect(granted(story.ask(child('c#2', 'kid-2')))).toEqual([55])
  })
  it('holds its grant while a roll back has left it behind', () => {
    const story = parent().with(child('c#1', 'kid', { budgetMicroCredits: 80 }), {
      type: 'RollBackExecution',
      data: { toPath: null },
    })
    expect(story.state).toMatchObject({ grantedMicroCredits: 80 })
    story.with(ended('c#1', 'kid', 5))
    expect(story.state).toMatchObject({ spentMicroCredits: 5, grantedMicroCredits: 0 })
  })
  it('has the budget that it asks for, or none, when its parent has none', () => {
    expect(granted(running().ask(child('c#1', 'kid', { budgetMicroCredits: 7 })))).toEqual([7])
    expect(granted(running().ask(child('c#1', 'kid')))).toEqual([undefined])
  })
})

describe('a run that ends under a budget', () => {
  const kid = (): ExecutionEvent => {
    const request = requestedWith({ budgetMicroCredits: 100 })
    if (request.type === 'ExecutionRequested') request.data.parent = { executionId: 'parent', path: 'c#1' }
    return request
  }
  const deliveries = (owed: readonly OwedCommand[]) =>
    owed.flatMap(({ command }) => (command.type === 'DeliverChildOutcome' ? [command.data.spentMicroCredits] : []))
  const after = (events: ExecutionEvent[]) => {
    const state = events.reduce<ExecutionState | undefined>((s, e) => evolve(s, e, context), undefined)
    return state as ExecutionState
  }
  const begun: ExecutionEvent = { type: 'ExecutionStarted', data: { attempt: 1, workerId: 'w' } }
  const done: ExecutionEvent = { type: 'ExecutionCompleted', data: { attempt: 1, output: { inline: 1 } } }

  it('tells its parent what it spent, calls in doubt at their worst', () => {
    const step = { attempt: 1, path: 'a#1', name: 'a', kind: 'llm', stepAttempt: 1, requestHash: 'h' } as const
    const called: ExecutionEvent = {
      type: 'StepStarted',
      data: { ...step, intent: { idempotencyKey: 'k', reservedMicroCredits: 30 } },
    }
    const state = after([kid(), begun, called, done])
    expect(deliveries(owedAfter(state, [done]))).toEqual([30])
  })
  it('tells it only when its own children have told what they spent', () => {
    const asked: ExecutionEvent = {
      type: 'ChildRequested',
      data: {
        attempt: 1,
        path: 'g#1',
        requestHash: 'h',
        childId: 'grandchild',
        agentId: 'x',
        input: { inline: 1 },
        options: { priority: 0, budgetMicroCredits: 60 },
      },
    }
    const told: ExecutionEvent = {
      type: 'ChildFinished',
      data: { path: 'g#1', childId: 'grandchild', outcome: { status: 'cancelled' }, spentMicroCredits: 12 },
    }
    const before = after([kid(), begun, asked, done])
    expect(deliveries([...owedAfter(before, [done]), ...owedBy(before)])).toEqual([])
    const state = after([kid(), begun, asked, done, told])
    expect(deliveries(owedAfter(state, [told]))).toEqual([12])
    expect(deliveries(owedBy(state))).toEqual([12])
  })
})

const context = { tenant: 'ten_a', correlationId: 'cor_1', time: now }
const budget = 1_000

/** A tree of runs, each on a partition of its own: commands between them arrive in any order but that of their sender. */
class Tree {
  readonly runs = new Map<string, ExecutionState>()
  readonly #sent = new Map<string, OwedCommand[]>()
  readonly #decided = new Set<string>()
  readonly #calls = new Map<string, { run: string; generation: number; cost: number }>()
  /** what calls have really cost, recorded or not */
  cost = 0

  constructor() {
    this.#take('root', { status: 'decided', events: [withId(requestedWith({ budgetMicroCredits: budget }), 'root')] })
  }

  run(index: number): ExecutionState {
    return [...this.runs.values()][index % this.runs.size] as ExecutionState
  }

  #take(id: string, decision: Decision): Decision {
    if (decision.status !== 'decided') return decision
    for (const event of decision.events) this.runs.set(id, evolve(this.runs.get(id), event, context))
    const state = this.runs.get(id)
    if (state) this.#send(id, owedAfter(state, decision.events))
    return decision
  }

  #send(id: string, owed: readonly OwedCommand[]): void {
    this.#sent.set(id, [...(this.#sent.get(id) ?? []), ...owed])
  }

  ask(state: ExecutionState, request: WorkerRequest): Decision {
    return this.#take(state.executionId, decideRequest(state, state.attempt, request, now))
  }

  command(state: ExecutionState, command: ExecutionCommand): void {
    this.#take(state.executionId, decideCommand(state, command, 'key:k', now))
  }

  dispatch(state: ExecutionState): void {
    this.#take(state.executionId, startAttempt(state, { id: 'w', runtime: 'node' }, now))
  }

  lose(state: ExecutionState): void {
    this.#take(state.executionId, loseAttempt(state, 'engine_restarted', now))
  }

  /** a call that is allowed is made at once, and costs what it costs */
  call(state: ExecutionState, path: string, reserve: number, cost: number): void {
    const decision = this.ask(state, startedStep(path, reserve))
    if (decision.status !== 'decided' || decision.events.length === 0) return
    this.cost += cost
    this.#calls.set(`${state.executionId} ${path}`, { run: state.executionId, generation: state.generation, cost })
  }

  answer(state: ExecutionState, path: string): void {
    const call = this.#calls.get(`${state.executionId} ${path}`)
    if (call?.generation === state.generation) this.ask(state, completedStep(path, 1, 1, call.cost))
  }

  /** the oldest command of one sender arrives, or comes again after its sender was taken over */
  deliver(index: number, again: boolean): void {
    const senders = [...this.#sent].filter(([, commands]) => commands.length > 0)
    const sender = senders[index % Math.max(1, senders.length)]
    if (!sender) return
    const owed = (again ? sender[1][0] : sender[1].shift()) as OwedCommand
    if (this.#decided.has(owed.id)) return
    this.#decided.add(owed.id)
    const { command, to } = owed
    if (to.type === 'execution')
      this.#take(to.id, decideCommand(this.runs.get(to.id), command as ExecutionCommand, 'system', now))
  }

  takeOver(state: ExecutionState): void {
    this.#send(state.executionId, owedBy(state))
  }

  /** everything arrives */
  drain(): void {
    for (let i = 0; [...this.#sent.values()].some((commands) => commands.length > 0); i++) this.deliver(i, false)
  }
}

const withId = (event: ExecutionEvent, executionId: string): ExecutionEvent =>
  event.type === 'ExecutionRequested' ? { type: event.type, data: { ...event.data, executionId } } : event

type Move = (tree: Tree, state: ExecutionState) => void
const path = fc.constantFrom('a#1', 'b#1', 'c#1', 'd#1')
const amount = fc.integer({ min: 0, max: 300 })
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Move>((tree, state) => tree.dispatch(state)) },
  {
    weight: 6,
    arbitrary: fc.tuple(path, amount, fc.double({ min: 0, max: 1, noNaN: true })).map(
      ([p, reserve, part]): Move =>
        (tree, state) =>
          tree.call(state, p, reserve, Math.floor(reserve * part)),
    ),
  },
  {
    weight: 4,
    arbitrary: path.map(
      (p): Move =>
        (tree, state) =>
          tree.answer(state, p),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(path, fc.option(amount), fc.integer({ min: 1, max: 3 })).map(
      ([p, own, claims]): Move =>
        (tree, state) =>
          tree.ask(
            state,
            child(`kid-${p}`, `${state.executionId}.${p[0]}`, own === null ? {} : { budgetMicroCredits: own }, claims),
          ),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(fc.nat(20), fc.boolean()).map(
      ([i, again]): Move =>
        (tree) =>
          tree.deliver(i, again),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Move>(
      (tree, state) => tree.ask(state, { type: 'complete', output: { inline: 1 } }),
      (tree, state) => tree.ask(state, { type: 'fail', error: { code: 'agent_threw', detail: 'x', retryable: false } }),
      (tree, state) => tree.ask(state, { type: 'suspend', reason: 'waiting' }),
      (tree, state) => tree.command(state, { type: 'CancelExecution', data: {} }),
      (tree, state) => tree.command(state, { type: 'RollBackExecution', data: { toPath: null } }),
      (tree, state) => tree.lose(state),
      (tree, state) => tree.takeOver(state),
    ),
  },
)

describe('a tree of runs', () => {
  it('never costs more than the budget of its root, whatever becomes of its parts', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(8), move), { maxLength: 150, size: 'max' }), (moves) => {
        const tree = new Tree()
        for (const [index, act] of moves) {
          act(tree, tree.run(index))
          expect(tree.cost).toBeLessThanOrEqual(budget)
        }
        for (const { options, spentMicroCredits, reservedMicroCredits, grantedMicroCredits } of tree.runs.values()) {
          expect(spentMicroCredits + reservedMicroCredits + grantedMicroCredits).toBeLessThanOrEqual(
            options.budgetMicroCredits as number,
          )
        }
        const root = tree.runs.get('root') as ExecutionState
        tree.command(root, { type: 'CancelExecution', data: {} })
        tree.drain()
        expect([...tree.runs.values()].every(({ status }) => isTerminal(status))).toBe(true)
        expect(root).toMatchObject({ grantedMicroCredits: 0, reservedMicroCredits: 0, openChildren: 0 })
        expect(root.spentMicroCredits).toBeGreaterThanOrEqual(tree.cost)
        expect(root.spentMicroCredits).toBeLessThanOrEqual(budget)
      }),
      { numRuns: 400 },
    )
  })
})
