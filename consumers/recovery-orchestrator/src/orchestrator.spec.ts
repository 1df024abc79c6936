import type { AcceptedEvent, Appended, Command, CommandDraft, EventDraft, OwnedPartition } from '@omium/log'
import { aggregateKey, type ErrorCode, hashJson, OmiumError, type RecoveryContextCommand } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { facts, incident, knowing, now, policyOf, tenant } from '../test/given.ts'
import { recoverCommandId } from './domain/outbox.ts'
import { type PartitionState, recoveryMachine } from './machine.ts'
import { Orchestrator } from './orchestrator.ts'
import { Outbox } from './outbox.ts'

/** An owned partition that accepts in the next turn; what is on its log outlives every owner. */
class MemoryPartition implements OwnedPartition<PartitionState> {
  readonly partition = 0
  readonly epoch: number
  live = true
  readonly state: PartitionState
  readonly log: AcceptedEvent[]
  readonly #versions = new Map<string, number>()

  constructor(log: AcceptedEvent[] = [], epoch = 1) {
    this.log = log
    this.epoch = epoch
    this.state = recoveryMachine.decode(JSON.parse(JSON.stringify(recoveryMachine.encode(recoveryMachine.empty()))))
    for (const event of log) this.#apply(event)
  }

  versionOf(aggregate: string): number {
    return this.#versions.get(aggregate) ?? 0
  }

  async append(drafts: readonly EventDraft[]): Promise<Appended> {
    for (const draft of drafts) {
      const { type, data, ...rest } = draft
      const version = type.startsWith('Command') ? 0 : this.versionOf(draft.aggregate) + 1
      const envelope = {
        ...rest,
        id: `evt_${this.log.length}`,
        type,
        schemaVersion: 1,
        time: now,
        version,
        epoch: this.epoch,
      }
      const event = { envelope, type, data: JSON.parse(JSON.stringify(data)), partition: 0, offset: this.log.length }
      this.log.push(event)
      this.#apply(event)
    }
    return { firstOffset: 0, lastOffset: 0 }
  }

  reject(command: Command, code: ErrorCode, detail: string): Promise<Appended> {
    const { aggregate, actor, correlationId } = command.envelope
    const data = { commandType: command.type, code, detail }
    return this.append([
      { type: 'CommandRejected', data, aggregate, tenant: command.envelope.tenant, actor, correlationId },
    ])
  }

  send(): Promise<void> {
    throw new Error('incidents send to another context')
  }

  #apply(event: AcceptedEvent): void {
    if (event.envelope.version === 0) return
    this.#versions.set(event.envelope.aggregate, event.envelope.version)
    recoveryMachine.apply(this.state, event)
  }
}

const commandTo = (aggregate: string, { type, data }: RecoveryContextCommand, own = tenant): Command => ({
  envelope: {
    id: `cmd_${hashJson([type, data]).slice(0, 8)}`,
    type,
    schemaVersion: 1,
    tenant: own,
    aggregate,
    correlationId: 'c',
    actor: 'system',
    time: now,
  },
  type,
  data,
  partition: 0,
  offset: 0,
})

const clock = { nowMs: () => now, after: () => () => undefined }
const silent = { info: () => {}, warn: () => {}, error: () => {} }
const measures = { planned() {}, recovered() {}, failed() {}, decidedIn() {}, escalated() {}, givenUp() {} }

const orchestrate = (send: (draft: CommandDraft) => Promise<unknown>) =>
  new Orchestrator({
    knowledge: { at: () => knowing() },
    outbox: new Outbox({
      executions: { send },
      effects: { read: () => Promise.reject(new Error('not asked for')) },
      notices: silent,
      delay: () => new Promise((resolve) => setImmediate(resolve)),
    }),
    clock,
    notices: silent,
    measures,
    followersOf: () => [],
  })
const turns = async (count = 5) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

const key = aggregateKey('incident', tenant, incident)
const failure = commandTo(key, { type: 'ReportFailure', data: { facts: facts() } })

describe('the orchestrator', () => {
  it('sends a command only after its decision is accepted', async () => {
    const sent: string[] = []
    const partition = new MemoryPartition()
    const orchestrator = orchestrate(async ({ id }) => {
      sent.push(`${id} after ${partition.log.length}`)
    })
    orchestrator.owned(partition)
    await orchestrator.command(partition, failure)
    await turns()
    expect(sent).toEqual([`${recoverCommandId(tenant, incident, 1)} after 2`])
  })

  it('that dies between decision and command forgets nothing, and repeats nothing under another id', async () => {
    const died = new MemoryPartition()
    const first = orchestrate(() => new Promise(() => undefined))
    first.owned(died)
    await first.command(died, failure)
    died.live = false

    const sent: CommandDraft[] = []
    const taken = new MemoryPartition(died.log, 2)
    const second = orchestrate(async (draft) => sent.push(draft))
    second.owned(taken)
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
    const partition = new MemoryPartition()
    const orchestrator = orchestrate(async () => {
      tries++
      throw new OmiumError('log_unreachable', 'away')
    })
    orchestrator.owned(partition)
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
    const partition = new MemoryPartition()
    const orchestrator = orchestrate(async () => undefined)
    orchestrator.owned(partition)
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
    const partition = new MemoryPartition()
    const orchestrator = orchestrate(async () => undefined)
    await orchestrator.command(
      partition,
      commandTo(key, { type: 'ReportFailure', data: { facts: facts() } }, 'ten_other'),
    )
    expect(partition.log).toMatchObject([{ type: 'CommandRejected', data: { code: 'invalid_request' } }])
  })

  it('versions policies, and folds what it wrote', async () => {
    const partition = new MemoryPartition()
    const orchestrator = orchestrate(async () => undefined)
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
    expect(new MemoryPartition(partition.log).state).toEqual(partition.state)
  })
})
