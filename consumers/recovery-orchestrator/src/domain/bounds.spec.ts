import {
  type FailureFacts,
  type IncidentCommand,
  incidentIdOf,
  type RecoveryPolicy,
  recoveryPolicy,
} from '@omium/schemas'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { facts, knowing, now, runId, tenant } from '../../test/given.ts'
import { decideIncidentCommand } from './decide.ts'
import { evolveIncident, type IncidentState, isClosed } from './incident.ts'
import { compensationId, recoverCommandId } from './outbox.ts'

/**
 * Nothing recovers for ever and nothing spends without bound: whatever the policy says, however the run fails, refuses and
 * fails again, and although no person ever answers, it comes to an end within the limits of the policy.
 */
const codes = [
  'model_overloaded',
  'model_rate_limited',
  'model_context_length',
  'model_malformed',
  'step_failed',
  'execution_looping',
  'execution_stalled',
  'attempts_exhausted',
] as const

const oneTry = fc.oneof(
  fc.record({ strategy: fc.constant('retry'), attempts: fc.integer({ min: 1, max: 50 }) }),
  fc.constant({ strategy: 'other_model', models: ['b', 'c'] }),
  fc.constant({ strategy: 'smaller_context' }),
  fc.constant({ strategy: 'repair_prompt', attempts: 50 }),
  fc.record({ strategy: fc.constant('roll_back'), attempts: fc.integer({ min: 1, max: 50 }) }),
  fc.constant({ strategy: 'skip_with_default', output: null }),
  fc.constant({ strategy: 'reassign', attempts: 50 }),
  fc.record({
    strategy: fc.constant('compensate'),
    agent: fc.constant('undo'),
    afterwards: fc.constantFrom('give_up', 'roll_back'),
  }),
  fc.constant({ strategy: 'ask_person', timeoutMs: 1 }),
)
const policies = fc
  .record(
    {
      rules: fc.array(fc.record({ try: fc.array(oneTry, { minLength: 1, maxLength: 6 }) }), { maxLength: 2 }),
      prefer: fc.constantFrom('order', 'best_observed'),
      limits: fc.record(
        {
          attemptsPerIncident: fc.integer({ min: 0, max: 8 }),
          attemptsPerRun: fc.integer({ min: 0, max: 20 }),
          costMicroCreditsPerIncident: fc.integer({ min: 0, max: 500 }),
          costMicroCreditsPerRun: fc.integer({ min: 0, max: 2000 }),
        },
        { requiredKeys: ['attemptsPerIncident', 'attemptsPerRun'] },
      ),
    },
    { requiredKeys: ['rules', 'limits'] },
  )
  .map((policy) => recoveryPolicy.parse(policy))

/** one life of the run: what it costs, how it fails, and what it does with what is decided */
const life = fc.record({
  code: fc.constantFrom(...codes),
  between: fc.boolean(),
  cost: fc.integer({ min: 0, max: 100 }),
  effects: fc.integer({ min: 0, max: 250 }),
  refuses: fc.boolean(),
  undone: fc.boolean(),
  progress: fc.boolean(),
})

const mostDecisions = 3_000

class Run {
  readonly #policy: RecoveryPolicy
  #incident: IncidentState | undefined
  #id = ''
  awaiting = 0
  recoveries = 0
  cost = 0
  decisions = 0
  goingOnIn: { recoveries: number; cost: number }[] = []
  settledIn = 0

  constructor(policy: RecoveryPolicy) {
    this.#policy = policy
  }

  #tell(command: IncidentCommand): void {
    const identity = { tenant, id: this.#id, correlationId: 'c', time: now }
    const to = { tenant, id: this.#id, by: 'system' }
    const decision = decideIncidentCommand(this.#incident, command, to, knowing(this.#policy))
    if (decision.status === 'refused') throw new Error(decision.detail)
    this.decisions++
    for (const event of decision.events) {
      this.#incident = structuredClone(evolveIncident(this.#incident, event, identity))
    }
    if (this.#incident && isClosed(this.#incident)) this.#incident = undefined
  }

  /** @returns whether the run goes on */
  live({
    code,
    between,
    cost,
    effects,
    refuses,
    undone,
    progress,
  }: typeof life extends fc.Arbitrary<infer T> ? T : never): boolean {
    this.cost += cost
    this.awaiting++
    if (!this.#incident) this.#id = incidentIdOf(runId, this.awaiting)
    const error = { code, detail: 'again', retryable: true }
    const { step, ...rest } = facts({ error })
    const told: FailureFacts = {
      ...rest,
      ...(!between && step && { step }),
      awaiting: this.awaiting,
      costMicroCredits: this.cost,
      recoveries: this.recoveries,
      effects: effects > 0 ? [{ path: 'pay#1', name: 'pay', idempotencyKey: 'k' }] : [],
      effectsMade: effects,
    }
    this.#tell({ type: 'ReportFailure', data: { facts: told } })
    for (let refusals = 0; this.decisions < mostDecisions; ) {
      const incident = this.#incident
      if (!incident?.plan) return false
      const { plan } = incident
      if (incident.status === 'compensating') {
        const executionId = compensationId(this.#id, plan.number, plan.page)
        const status = undone ? 'completed' : 'failed'
        this.#tell({ type: 'ReportCompensation', data: { executionId, status, at: now } })
        continue
      }
      if (refuses && refusals++ < 100) {
        const commandId = recoverCommandId(tenant, this.#id, plan.number)
        this.#tell({ type: 'ReportRefused', data: { commandId, code: 'invalid_request', detail: 'no', at: now } })
        if (this.#incident?.plan?.number !== plan.number) continue
      }
      const { action } = plan
      // nobody answers, and the time runs out
      if (action.type === 'hold' || action.type === 'give_up') return false
      if (action.type === 'compensate' && action.afterwards === 'give_up') return false
      this.goingOnIn.push({ recoveries: this.recoveries, cost: this.cost })
      const applied = action.type === 'compensate' ? ({ type: 'roll_back', toPath: null, delayMs: 0 } as const) : action
      this.recoveries++
      this.#tell({ type: 'ReportApplied', data: { awaiting: this.awaiting, action: applied, by: 'system', at: now } })
      if (progress) {
        this.#tell({ type: 'ReportRecovered', data: { how: 'progress', at: now, costMicroCredits: this.cost } })
      }
      return true
    }
    throw new Error('it is decided about for ever')
  }
}

it('a run that always fails again comes to its end within its limits, though nobody answers', () => {
  let longest = 0
  fc.assert(
    fc.property(policies, fc.array(life, { minLength: 1, maxLength: 12 }), (policy, lives) => {
      const run = new Run(policy)
      let goesOn = true
      for (let i = 0; goesOn; i++) goesOn = run.live(lives[i % lives.length] as (typeof lives)[number])
      const { attemptsPerRun, costMicroCreditsPerRun = Number.POSITIVE_INFINITY } = policy.limits
      expect(run.recoveries).toBeLessThanOrEqual(attemptsPerRun)
      for (const { recoveries, cost } of run.goingOnIn) {
        expect(recoveries).toBeLessThan(attemptsPerRun)
        expect(cost).toBeLessThan(costMicroCreditsPerRun)
      }
      longest = Math.max(longest, run.recoveries)
    }),
    { numRuns: 1_000 },
  )
  expect(longest, 'the property means something only if runs go on for a while').toBeGreaterThan(8)
})
