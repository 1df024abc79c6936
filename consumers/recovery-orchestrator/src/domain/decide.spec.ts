import type { IncidentEvent, RecoveryAction } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import {
  eventsOf,
  facts,
  given,
  incident,
  knowing,
  now,
  planIn,
  policyOf,
  runId,
  tenant,
  typesOf,
} from '../../test/given.ts'
import { compensationId, interruptCommandId, owedBy, recoverCommandId } from './outbox.ts'
import { pointBeforeEffects } from './plan.ts'

const report = (more = {}) => ({ type: 'ReportFailure' as const, data: { facts: facts(more) } })
const opened = (policy?: object): readonly IncidentEvent[] =>
  eventsOf(given().when(report(), policy ? { knowledge: knowing(policyOf(policy)) } : {}))
const applied = (action: RecoveryAction, plan = 1): IncidentEvent => ({
  type: 'RecoveryApplied',
  data: { plan, action, by: 'system', at: now },
})
const retry: RecoveryAction = { type: 'retry', delayMs: 0, avoidWorker: false }
const asking = { rules: [{ try: [{ strategy: 'ask_person' }] }] }
const undoing = { rules: [{ try: [{ strategy: 'compensate', agent: 'undo', afterwards: 'roll_back' }] }] }
const effects = [{ path: 'pay#1', name: 'pay', idempotencyKey: 'k1' }]

describe('a failure', () => {
  it('opens an incident with a diagnosis and a plan that explains itself', () => {
    const decision = given().when(report())
    expect(typesOf(decision)).toEqual(['IncidentOpened', 'RecoveryPlanned'])
    expect(eventsOf(decision)[0]?.data).toMatchObject({
      class: 'transient_provider',
      classifiedBy: 'code model_overloaded',
      rootCause: { code: 'model_overloaded', path: 'draft#1' },
    })
    expect(planIn(decision)).toMatchObject({
      plan: 1,
      strategy: 'retry',
      attempt: 1,
      of: 5,
      by: 'system',
      costMicroCredits: 0,
    })
    expect(planIn(decision).alternatives.map(({ strategy }) => strategy)).toEqual(['other_model', 'ask_person'])
  })

  it('is one incident, however often it is reported', () => {
    const before = given(...opened())
    expect(eventsOf(before.when(report()))).toEqual([])
    expect(owedBy(before.state as never)?.id).toBe(recoverCommandId(tenant, incident, 1))
  })

  it('that recurs belongs to the same incident, and says that the last plan did not help', () => {
    const decision = given(...opened(), applied(retry)).when(
      report({ awaiting: 2, costMicroCredits: 175, recoveries: 1 }),
    )
    expect(typesOf(decision)).toEqual(['RecoveryFailed', 'FailureRecurred', 'RecoveryPlanned'])
    expect(planIn(decision)).toMatchObject({ plan: 2, strategy: 'retry', attempt: 2, costMicroCredits: 75 })
  })

  it('asks a person and owes a hold', () => {
    const events = [...opened(asking)]
    expect(events.map(({ type }) => type)).toEqual(['IncidentOpened', 'RecoveryPlanned', 'EscalatedToPerson'])
    const { state } = given(...events)
    expect(state?.status).toBe('escalated')
    expect(owedBy(state as never)?.command).toMatchObject({
      type: 'RecoverExecution',
      data: { incident: 1, action: { type: 'hold', untilMs: now + 86_400_000 } },
    })
  })
})

describe('a run that goes on', () => {
  const going = [...opened(), applied(retry)]
  it('has recovered when it gets past the failure: the time runs from the failure', () => {
    const decision = given(...going).when({
      type: 'ReportRecovered',
      data: { how: 'progress', path: 'draft#1', at: now + 950, costMicroCredits: 130 },
    })
    expect(eventsOf(decision)).toMatchObject([
      {
        type: 'RecoverySucceeded',
        data: { strategy: 'retry', recoveredInMs: 1000, attempts: 1, costMicroCredits: 30 },
      },
    ])
  })
  it('owes nothing while it is applied', () => {
    expect(owedBy(given(...going).state as never)).toBeNull()
    expect(given(...going).state?.status).toBe('recovering')
  })
  it('and is cancelled leaves nothing to recover', () => {
    const decision = given(...going).when({ type: 'ReportRunEnded', data: { status: 'cancelled', at: now } })
    expect(typesOf(decision)).toEqual(['IncidentDismissed'])
  })
  it('and fails for good is given up, and the plan has failed', () => {
    const decision = given(...going).when({ type: 'ReportRunEnded', data: { status: 'failed', at: now, detail: 'x' } })
    expect(typesOf(decision)).toEqual(['RecoveryFailed', 'GivenUp'])
  })
  it('is reported late or twice without effect', () => {
    const done = given(
      ...going,
      ...eventsOf(given(...going).when({ type: 'ReportRunEnded', data: { status: 'cancelled', at: now } })),
    )
    for (const command of [
      report({ awaiting: 2 }),
      { type: 'ReportApplied', data: { awaiting: 1, action: retry, by: 'system', at: now } },
      { type: 'ReportRecovered', data: { how: 'completed', at: now, costMicroCredits: 0 } },
      { type: 'ReportRunEnded', data: { status: 'failed', at: now } },
    ] as const)
      expect(eventsOf(done.when(command))).toEqual([])
  })
})

describe('a plan that the run refuses', () => {
  const refusedWith = (
    code: 'step_unknown' | 'execution_not_recovering',
    commandId = recoverCommandId(tenant, incident, 1),
  ) => given(...opened()).when({ type: 'ReportRefused', data: { commandId, code, detail: 'no', at: now } })
  it('is followed by the next one', () => {
    const decision = refusedWith('step_unknown')
    expect(typesOf(decision)).toEqual(['RecoveryFailed', 'RecoveryPlanned'])
    expect(planIn(decision)).toMatchObject({ plan: 2, attempt: 2 })
  })
  it('because the run waits no more ends the incident', () => {
    expect(typesOf(refusedWith('execution_not_recovering'))).toEqual(['RecoveryFailed', 'IncidentDismissed'])
  })
  it('is not the refusal of another command', () => {
    expect(eventsOf(refusedWith('step_unknown', recoverCommandId(tenant, incident, 7)))).toEqual([])
  })
})

describe('a person', () => {
  const escalated = opened(asking)
  const decide = (action: RecoveryAction) =>
    given(...escalated).when({ type: 'DecideIncident', data: { action, reason: 'because' } }, { by: 'key:anna' })
  it('decides, and it is done under a new number', () => {
    const decision = decide({ ...retry, overrides: { models: { '*': 'm' } } })
    expect(typesOf(decision)).toEqual(['DecidedByPerson', 'RecoveryPlanned'])
    expect(planIn(decision)).toMatchObject({
      plan: 2,
      strategy: 'other_model',
      by: 'key:anna',
      why: 'decided by key:anna: because',
    })
    const { state } = given(...escalated, ...eventsOf(decision))
    expect(owedBy(state as never)?.id).toBe(recoverCommandId(tenant, incident, 2))
    // the hold of the question comes back late
    const late = { awaiting: 1, action: { type: 'hold', untilMs: now + 5 }, by: 'system', at: now } as const
    expect(eventsOf(given(...escalated, ...eventsOf(decision)).when({ type: 'ReportApplied', data: late }))).toEqual([])
  })
  it('gives up', () => {
    const after = given(...escalated, ...eventsOf(decide({ type: 'give_up' })))
    expect(owedBy(after.state as never)?.command).toMatchObject({ data: { action: { type: 'give_up' } } })
    const end = after.when({ type: 'ReportRunEnded', data: { status: 'failed', at: now } })
    expect(eventsOf(end)).toMatchObject([{ type: 'GivenUp', data: { why: 'decided by key:anna: because' } }])
  })
  it('who was refused is asked again', () => {
    const after = given(...escalated, ...eventsOf(decide({ type: 'roll_back', toPath: 'nowhere#1', delayMs: 0 })))
    const commandId = recoverCommandId(tenant, incident, 2)
    const refusal = after.when({
      type: 'ReportRefused',
      data: { commandId, code: 'step_unknown', detail: 'no', at: now },
    })
    expect(typesOf(refusal)).toEqual(['RecoveryFailed', 'RecoveryPlanned', 'EscalatedToPerson'])
    expect(planIn(refusal)).toMatchObject({ plan: 3, strategy: 'ask_person' })
  })
  it('may put the answer off', () => {
    expect(typesOf(decide({ type: 'hold', untilMs: now + 5 }))).toEqual([
      'DecidedByPerson',
      'RecoveryPlanned',
      'EscalatedToPerson',
    ])
    expect(decide({ type: 'hold', untilMs: 9e15 })).toMatchObject({ status: 'refused', code: 'invalid_request' })
  })
  it('is not asked about what nobody knows, or what waits for nobody', () => {
    const command = { type: 'DecideIncident' as const, data: { action: retry } }
    expect(given().when(command)).toMatchObject({ status: 'refused', code: 'incident_unknown' })
    expect(given(...opened()).when(command)).toMatchObject({ status: 'refused', code: 'incident_not_undecided' })
    expect(given(...escalated, ...eventsOf(decide(retry))).when(command)).toMatchObject({
      code: 'incident_not_undecided',
    })
  })
  it('may be forestalled by somebody who acts on the run itself', () => {
    const held = given(...escalated, applied({ type: 'hold', untilMs: now + 86_400_000 }))
    const other = { awaiting: 1, action: retry, by: 'key:ben', at: now } as const
    expect(typesOf(held.when({ type: 'ReportApplied', data: other }))).toEqual(['RecoveryApplied'])
  })
})

describe('a question that the run refuses', () => {
  it('is asked a few times, and then stands: nothing is asked for ever', () => {
    const events = [...opened(asking)]
    for (let refusals = 1; refusals < 20; refusals++) {
      const { state, when } = given(...events)
      const commandId = recoverCommandId(tenant, incident, state?.plan?.number ?? 0)
      const data = { commandId, code: 'invalid_request' as const, detail: 'it is over already', at: now }
      const decision = eventsOf(when({ type: 'ReportRefused', data }, { knowledge: knowing(policyOf(asking)) }))
      events.push(...decision)
      if (decision.some(({ type }) => type === 'RecoveryPlanned')) continue
      expect(state?.status).toBe('escalated')
      expect(refusals).toBeLessThan(8)
      return
    }
    throw new Error('it is asked again and again')
  })
})

describe('compensation', () => {
  const started = eventsOf(given().when(report({ effects }), { knowledge: knowing(policyOf(undoing)) }))
  const executionId = compensationId(incident, 1, 1)
  const finished = (status: 'completed' | 'failed', id = executionId) =>
    given(...started).when({ type: 'ReportCompensation', data: { executionId: id, status, detail: 'x: y', at: now } })
  it('starts the agent that undoes, with what there is to undo', () => {
    expect(started.map(({ type }) => type)).toEqual(['IncidentOpened', 'RecoveryPlanned', 'CompensationStarted'])
    expect(owedBy(given(...started).state as never)).toMatchObject({
      aggregate: `execution:${tenant}/${executionId}`,
      command: {
        type: 'StartExecution',
        data: {
          agentId: 'undo',
          input: { inline: { executionId: runId, effects } },
          options: { labels: { 'omium.compensates': incident } },
        },
      },
    })
  })
  it('comes before what is done afterwards', () => {
    const { state } = given(...started, ...eventsOf(finished('completed')))
    expect(owedBy(state as never)?.command).toMatchObject({
      type: 'RecoverExecution',
      data: { action: { type: 'roll_back', toPath: null, undone: true } },
    })
  })
  it('goes back to before whatever it has undone', () => {
    const before = (goodPaths: string[], ...made: string[]) =>
      pointBeforeEffects(
        facts({ goodPaths, effects: made.map((path) => ({ path, name: 'pay', idempotencyKey: `key of ${path}` })) }),
      )
    expect(before(['look#2', 'hotel#1', 'look#1', 'flight#1', 'plan#1'], 'flight#1', 'hotel#1')).toBe('plan#1')
    expect(before(['hotel#1', 'plan#1'], 'hotel#1')).toBe('plan#1')
    expect(before(['hotel#1'], 'hotel#1')).toBeNull()
    // the flight lies further back than what is told
    expect(before(['hotel#1', 'plan#1'], 'flight#1', 'hotel#1')).toBeNull()
  })
  it('that fails is a person’s business', () => {
    expect(typesOf(finished('failed'))).toEqual([
      'CompensationFinished',
      'RecoveryFailed',
      'RecoveryPlanned',
      'EscalatedToPerson',
    ])
  })
  it('has a limit for each run of the agent, the wait for a worker included', () => {
    const terms = { strategy: 'compensate', agent: 'undo', timeoutMs: 5_000, budgetMicroCredits: 7 }
    const policy = policyOf({ rules: [{ try: [terms] }] })
    const { state } = given(...eventsOf(given().when(report({ effects }), { knowledge: knowing(policy) })))
    expect(owedBy(state as never)).toMatchObject({
      command: { data: { options: { timeoutMs: 5_000, budgetMicroCredits: 7 } } },
    })
    expect(planIn(finished('failed')).why).toMatch(/\(1 of 1\) has failed: x: y; some effects may still stand/)
  })

  describe('of more effects than are told of at once', () => {
    const latest = Array.from({ length: 100 }, (_, i) => ({
      path: `pay#${i + 151}`,
      name: 'pay',
      idempotencyKey: `k${i}`,
    }))
    const many = { effects: latest, effectsMade: 250 }
    const ended = (page: number, at = now, status: 'completed' | 'failed' = 'completed') => ({
      type: 'ReportCompensation' as const,
      data: { executionId: compensationId(incident, 1, page), status, at },
    })
    const begun = eventsOf(given().when(report(many), { knowledge: knowing(policyOf(undoing)) }))
    const twice = [...begun, ...eventsOf(given(...begun).when(ended(1)))]
    const thrice = [...twice, ...eventsOf(given(...twice).when(ended(2)))]
    it('goes page by page, the latest first, and tells of all', () => {
      const pages = thrice.flatMap(({ type, data }) => (type === 'CompensationStarted' ? [data] : []))
      expect(pages.map(({ page, pages: of, effects: count }) => [page, of, count])).toEqual([
        [1, 3, 100],
        [2, 3, 100],
        [3, 3, 50],
      ])
      expect(new Set(pages.map((page) => page.executionId)).size).toBe(3)
      const owed = [begun, twice, thrice].map((events) => owedBy(given(...events).state as never))
      expect(owed[0]).toMatchObject({
        command: { data: { input: { inline: { effects: latest, page: 1, pages: 3 } } } },
      })
      expect(owed.slice(1)).toMatchObject([
        { effects: { tenant, executionId: runId, version: 9, ranges: [{ from: 50, to: 150 }] } },
        { effects: { ranges: [{ from: 0, to: 50 }] } },
      ])
      expect(new Set(owed.map((one) => one?.id)).size).toBe(3)
      const { state } = given(...thrice, ...eventsOf(given(...thrice).when(ended(3))))
      expect(owedBy(state as never)).toMatchObject({
        command: { data: { action: { type: 'roll_back', toPath: null, undone: true } } },
      })
    })
    it('hears of each page once', () => {
      expect(eventsOf(given(...twice).when(ended(1)))).toEqual([])
      expect(eventsOf(given(...begun).when(ended(2)))).toEqual([])
    })
    it('stops for a person where a page fails, or where the run would not wait for the next', () => {
      const asked = ['CompensationFinished', 'RecoveryFailed', 'RecoveryPlanned', 'EscalatedToPerson']
      expect(typesOf(given(...twice).when(ended(2, now, 'failed')))).toEqual(asked)
      const late = given(...begun).when(ended(1, now + 86_000_000))
      expect(typesOf(late)).toEqual(asked)
      expect(planIn(late)).toMatchObject({
        why: expect.stringContaining('1 of 3 compensations are done'),
        action: { type: 'hold', untilMs: now + 86_000_000 + 86_400_000 },
      })
    })
    it('undoes nothing twice, whoever asks for it again, and tells the run what is undone', () => {
      const failed = [...twice, ...eventsOf(given(...twice).when(ended(2, now, 'failed')))]
      expect(owedBy(given(...failed).state as never)).toMatchObject({
        command: { data: { action: { type: 'hold' }, effectsUndone: [{ from: 150, to: 250 }] } },
      })
      const action = {
        type: 'compensate' as const,
        agentId: 'undo',
        afterwards: 'roll_back' as const,
        timeoutMs: 5_000,
      }
      const decide = { type: 'DecideIncident' as const, data: { action } }
      const story = [...failed, ...eventsOf(given(...failed).when(decide, { by: 'user:ann' }))]
      const sizes: number[] = []
      for (let page = 1; page <= 2; page++) {
        const owed = owedBy(given(...story).state as never)
        if (owed && 'effects' in owed) sizes.push(...owed.effects.ranges.flatMap(({ from, to }) => [from, to]))
        const executionId = compensationId(incident, 3, page)
        const done = {
          type: 'ReportCompensation' as const,
          data: { executionId, status: 'completed' as const, at: now },
        }
        story.push(...eventsOf(given(...story).when(done)))
      }
      expect(sizes).toEqual([50, 150, 0, 50])
      const { state, when } = given(...story)
      // what is undone has to be made again, and part of it lies out of sight
      expect(owedBy(state as never)).toMatchObject({ command: { data: { action: { toPath: null, undone: true } } } })
      expect(when(decide, { by: 'user:ann' })).toMatchObject({ code: 'incident_not_undecided' })
    })
    it('undoes nothing that was undone before the run failed again', () => {
      const again = { ...many, effects: [], effectsMade: 10, effectsUndone: [{ from: 5, to: 245 }] }
      const next = eventsOf(given().when(report(again), { knowledge: knowing(policyOf(undoing)) }))
      expect(next.at(-1)).toMatchObject({ data: { effects: 10, page: 1, pages: 1 } })
      const ranges = [
        { from: 0, to: 5 },
        { from: 245, to: 250 },
      ]
      expect(owedBy(given(...next).state as never)).toMatchObject({ effects: { ranges } })
    })
  })

  it('of another run is none', () => {
    expect(eventsOf(finished('completed', 'somebody-else'))).toEqual([])
  })
})

describe('an intervention', () => {
  const error = { code: 'execution_stalled' as const, detail: 'still', retryable: false }
  const propose = {
    type: 'ProposeIntervention' as const,
    data: { executionId: runId, agentId: 'writer', awaiting: 1, kind: 'stall' as const, attempt: 2, error },
  }
  const decided = eventsOf(given().when(propose))
  it('is decided first, then interrupts the run, whose failure opens the incident', () => {
    expect(decided.map(({ type }) => type)).toEqual(['InterventionDecided'])
    expect(owedBy(given(...decided).state as never)?.command).toEqual({
      type: 'InterruptExecution',
      data: { error, attempt: 2 },
    })
    expect(
      typesOf(
        given(...decided).when(report({ error, chain: [{ executionId: runId, code: error.code, detail: 'x' }] })),
      ),
    ).toEqual(['IncidentOpened', 'RecoveryPlanned'])
  })
  it('that comes too late is dismissed', () => {
    const commandId = interruptCommandId(tenant, incident, 2)
    const refused = { commandId, code: 'execution_not_running' as const, detail: 'no', at: now }
    expect(typesOf(given(...decided).when({ type: 'ReportRefused', data: refused }))).toEqual([
      'InterventionRefused',
      'IncidentDismissed',
    ])
  })
  it('is possible again while a recovery is tried, and only then', () => {
    const going = [...opened(), applied(retry)]
    expect(eventsOf(given(...opened()).when(propose))).toEqual([])
    const again = eventsOf(given(...going).when(propose))
    expect(again.map(({ type }) => type)).toEqual(['InterventionDecided'])
    const commandId = interruptCommandId(tenant, incident, 2)
    const refused = { commandId, code: 'execution_not_running' as const, detail: 'no', at: now }
    const after = given(...going, ...again)
    const left = given(...going, ...again, ...eventsOf(after.when({ type: 'ReportRefused', data: refused })))
    expect(left.state?.status).toBe('recovering')
  })
})
