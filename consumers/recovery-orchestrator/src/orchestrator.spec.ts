import { commandTo as commandOf, MemoryPartition, silent, turns } from '@omium/kit/testing'
import type { AcceptedEvent, CommandDraft } from '@omium/log'
import { aggregateKey, hashJson, OmiumError, type RecoveryContextCommand } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { facts, incident, knowing, now, policyOf, tenant } from '../test/given.ts'
import { recoverCommandId } from './domain/outbox.ts'
import { recoveryMachine } from './machine.ts'
import { Orchestrator } from './orchestrator.ts'

const partitionOf = (history: readonly AcceptedEvent[] = [], epoch = 1) =>
  new MemoryPartition(recoveryMachine, { nowMs: () => now, history, epoch })

/** a command that is given twice is the same command */
const commandTo = (aggregate: string, { type, data }: RecoveryContextCommand, own = tenant) =>
  commandOf(
    aggregate,
    { type, data },
    { id: `cmd_${hashJson([type, data]).slice(0, 8)}`, tenant: own, actor: 'system', time: now },
  )

const clock = {
  nowMs: () => now,
  after: (_ms: number, run: () => void) => {
    const turn = setImmediate(run)
    return () => clearImmediate(turn)
  },
}
const measures = { planned() {}, recovered() {}, failed() {}, decidedIn() {}, escalated() {}, givenUp() {} }

/** an orchestrator that owns the partition */
const orchestrate = (
  partition: ReturnType<typeof partitionOf>,
  send: (draft: CommandDraft) => Promise<unknown> = async () => undefined,
) => {
  const orchestrator = new Orchestrator({
    knowledge: { at: () => knowing() },
    executions: { send },
    effects: { read: () => Promise.reject(new Error('not asked for')) },
    clock,
    notices: silent,
    measures,
  })
  orchestrator.owned(partition)
  return orchestrator
}

const key = aggregateKey('incident', tenant, incident)
const failure = commandTo(key, { type: 'ReportFailure', data: { facts: facts() } })

describe('the orchestrator', () => {
  it('sends a command only after its decision is accepted', async () => {
    const sent: string[] = []
    const partition = partitionOf()
    const orchestrator = orchestrate(partition, async ({ id }) => {
      sent.push(`${id} after ${partition.log.length}`)
    })
    await orchestrator.command(partition, failure)
    await turns()
    expect(sent).toEqual([`${recoverCommandId(tenant, incident, 1)} after 2`])
  })

  it('that dies between decision and command forgets nothing, and repeats nothing under another id', async () => {
    const died = partitionOf()
    const first = orchestrate(died, () => new Promise(() => undefined))
    await first.command(died, failure)
    died.live = false

    const sent: CommandDraft[] = []
    const taken = partitionOf(died.log, 2)
    const second = orchestrate(taken, async (draft) => sent.push(draft))
    await turns()
    expect(sent).toMatchObject([
      { id: recoverCommandId(tenant, incident, 1), type: 'RecoverExecution', aggregate: `execution:${tenant}/run-1` },
    ])
    // the report comes again, since its offset was not committed
    await second.command(taken, failure)
    await turns()
    expect(new Set(sent.map(({ id }) => id)).size).toBe(1)
    expect(taken.log.filter(({ type }) => type === 'RecoveryPlanned')).toHaveLength(1)
  })

  it('sends again while the log is away, until the incident owes it no more', async () => {
    let tries = 0
    const partition = partitionOf()
    const orchestrator = orchestrate(partition, async () => {
      tries++
      throw new OmiumError('log_unreachable', 'away')
    })
    await orchestrator.command(partition, failure)
    await turns(20)
    expect(tries).toBeGreaterThan(3)
    const end = commandTo(key, { type: 'ReportRunEnded', data: { status: 'cancelled', at: now } })
    await orchestrator.command(partition, end)
    await turns()
    const before = tries
    await turns(20)
    expect(tries).toBe(before)
    expect(partition.state.incidents.size).toBe(0)
  })

  it('keeps closed incidents closed', async () => {
    const partition = partitionOf()
    const orchestrator = orchestrate(partition)
    await orchestrator.command(partition, failure)
    await orchestrator.command(
      partition,
      commandTo(key, { type: 'ReportRunEnded', data: { status: 'cancelled', at: now } }),
    )
    await orchestrator.command(partition, failure)
    await orchestrator.command(
      partition,
      commandTo(key, { type: 'DecideIncident', data: { action: { type: 'give_up' } } }),
    )
    expect(partition.log.map(({ type }) => type)).toEqual([
      'IncidentOpened',
      'RecoveryPlanned',
      'IncidentDismissed',
      'CommandDeduplicated',
      'CommandRejected',
    ])
    expect(partition.log[2]?.envelope.closes).toBe(true)
  })

  it('lets nobody touch another tenant’s incidents', async () => {
    const partition = partitionOf()
    const orchestrator = orchestrate(partition)
    await orchestrator.command(
      partition,
      commandTo(key, { type: 'ReportFailure', data: { facts: facts() } }, 'ten_other'),
    )
    expect(partition.log).toMatchObject([{ type: 'CommandRejected', data: { code: 'invalid_request' } }])
  })

  it('versions policies, and folds what it wrote', async () => {
    const partition = partitionOf()
    const orchestrator = orchestrate(partition)
    const policyKey = aggregateKey('policy', tenant, 'mine')
    const publish = (models: string[], expectedVersion?: number) =>
      orchestrator.command(
        partition,
        commandTo(policyKey, {
          type: 'PublishRecoveryPolicy',
          data: { policy: policyOf({ models }), ...(expectedVersion !== undefined && { expectedVersion }) },
        }),
      )
    await publish(['a'], 0)
    await publish(['a'])
    await publish(['b'], 0)
    await publish(['b'], 1)
    await orchestrator.command(partition, commandTo(policyKey, { type: 'RetireRecoveryPolicy', data: {} }))
    await publish(['b'])
    expect(
      partition.log.map(({ type, data }) => [
        type,
        (data as { version?: number; code?: string }).version ?? (data as { code?: string }).code,
      ]),
    ).toEqual([
      ['RecoveryPolicyPublished', 1],
      ['CommandDeduplicated', undefined],
      ['CommandRejected', 'policy_conflict'],
      ['RecoveryPolicyPublished', 2],
      ['RecoveryPolicyRetired', undefined],
      ['RecoveryPolicyPublished', 3],
    ])
    expect(partitionOf(partition.log).state).toEqual(partition.state)
  })
})
