import {
  aggregateKey,
  type CompletedEffect,
  type EffectRange,
  type ExecutionCommand,
  executionOptions,
  hashJson,
  type RecoveryAction,
  requestHashOf,
} from '@omium/schemas'
import { nextPage, pagesOf, sizeOf } from './effects.ts'
import type { IncidentState } from './incident.ts'

/**
 * What an incident owes to the execution context: derived from its state, never stored. Whoever takes the partition over
 * derives the same commands, with the same ids, and sends them again; the execution context decides each of them once.
 */
export interface OwedCommand {
  readonly id: string
  readonly aggregate: string
  readonly command: ExecutionCommand
}

/** A command that tells of effects of which the incident only knows the number: they are read from the run's own events. */
export interface OwedWithEffects {
  readonly id: string
  readonly aggregate: string
  readonly effects: EffectsOfRun
  command(effects: readonly CompletedEffect[]): ExecutionCommand
}

export interface EffectsOfRun {
  readonly tenant: string
  readonly executionId: string
  /** of the run: what it made later is not meant */
  readonly version: number
  readonly ranges: readonly EffectRange[]
}

/** the label by which a run that undoes effects is told from others */
export const compensatesLabel = 'omium.compensates'

export const recoverCommandId = (tenant: string, incident: string, plan: number): string =>
  `cmd_recover_${hashJson([tenant, incident, plan]).slice(0, 32)}`
export const interruptCommandId = (tenant: string, incident: string, attempt: number): string =>
  `cmd_interrupt_${hashJson([tenant, incident, attempt]).slice(0, 32)}`
/** commands of incidents, by their id */
export const isOwn = (commandId: string): boolean => /^cmd_(recover|interrupt)_/.test(commandId)

export const compensationId = (incident: string, plan: number, page: number): string =>
  `compensation-${hashJson([incident, plan, page]).slice(0, 24)}`

/** What the execution context is asked to do for the current plan; null while something else has to come first. */
const actionNow = (state: IncidentState): RecoveryAction | null => {
  const { plan } = state
  if (!plan || plan.applied) return null
  if (plan.action.type !== 'compensate') return plan.action
  if (plan.compensated !== 'completed') return null
  return plan.action.afterwards === 'give_up'
    ? { type: 'give_up' }
    : { type: 'roll_back', toPath: plan.beforeEffects, delayMs: 0, undone: true }
}

const compensation = (state: IncidentState): OwedCommand | OwedWithEffects | null => {
  const { plan, facts, tenant, id } = state
  if (plan?.action.type !== 'compensate' || !facts || plan.compensated) return null
  const { agentId, timeoutMs, budgetMicroCredits } = plan.action
  const { page } = plan
  const executionId = compensationId(id, plan.number, page)
  const command = (effects: readonly CompletedEffect[]): ExecutionCommand => {
    const input = {
      incident: id,
      executionId: state.executionId,
      agent: state.agentId,
      error: facts.error,
      effects,
      page,
      pages: page - 1 + pagesOf(facts),
    }
    return {
      type: 'StartExecution',
      data: {
        executionId,
        agentId,
        input: { inline: JSON.parse(JSON.stringify(input)) },
        requestHash: requestHashOf({ agentId, input }),
        options: executionOptions.parse({ labels: { [compensatesLabel]: id }, timeoutMs, budgetMicroCredits }),
      },
    }
  }
  const owed = {
    id: `cmd_compensate_${hashJson([tenant, id, plan.number, page]).slice(0, 32)}`,
    aggregate: aggregateKey('execution', tenant, executionId),
  }
  const ranges = nextPage(facts)
  // the facts tell of the latest
  if (facts.effects.length === sizeOf(ranges)) return { ...owed, command: command(facts.effects) }
  return { ...owed, effects: { tenant, executionId: state.executionId, version: facts.version, ranges }, command }
}

export const owedBy = (state: IncidentState): OwedCommand | OwedWithEffects | null => {
  const { tenant, id, executionId, intervention } = state
  const aggregate = aggregateKey('execution', tenant, executionId)
  if (state.status === 'intervening' && intervention) {
    const data = { error: intervention.error, attempt: intervention.attempt }
    return {
      id: interruptCommandId(tenant, id, intervention.attempt),
      aggregate,
      command: { type: 'InterruptExecution', data },
    }
  }
  if (state.status === 'compensating') return compensation(state)
  const action = state.status === 'planned' || state.status === 'escalated' ? actionNow(state) : null
  const { effectsUndone = [] } = state.facts ?? {}
  if (!action || !state.plan) return null
  return {
    id: recoverCommandId(tenant, id, state.plan.number),
    aggregate,
    command: {
      type: 'RecoverExecution',
      data: {
        incident: state.awaiting,
        action,
        reason: state.plan.why.slice(0, 2000),
        ...(effectsUndone.length > 0 && { effectsUndone }),
      },
    },
  }
}
