import { aggregateKey, type ErrorCode, type EventEnvelope, OmiumError } from '@omium/schemas'
import { isLogRecord } from './acceptance.ts'
import type { CommandOutcome, EventDraft, LogContext } from './contract.ts'
import { partitionFor } from './partitioning.ts'
import { bytesOf, maxAppendBytes } from './record-size.ts'
import type { PreparedRecord } from './writer.ts'

/** What drafts are prepared against: the owner's view, with everything that it has appended so far. */
export interface OwnerView {
  readonly partition: number
  readonly partitionCount: number
  readonly epoch: number
  versionOf(aggregate: string): number
  isParked(aggregate: string): boolean
  isDecided(commandId: string): boolean
}

/**
 * Envelopes and encodings of drafts, without effect on anything. An owner accepts its own records unread, so whatever the
 * fold would refuse, or a reader could not read, is refused here.
 * @throws OmiumError `execution_parked`, `payload_too_large`, or `internal` when the drafts make no sense; whatever the
 *   codec throws
 */
export const prepareEvents = (
  context: LogContext,
  view: OwnerView,
  drafts: readonly EventDraft[],
): PreparedRecord[] => {
  if (drafts.length === 0) throw new OmiumError('internal', 'an append needs at least one event')
  const { codec, definition, ids, nowMs } = context
  const versions = new Map<string, number>()
  const decided = new Set<string>()
  let bytes = 0
  return drafts.map((draft) => {
    const { type, aggregate, commandId, traceparent } = draft
    const schemaVersion = definition.events[type]?.version
    if (schemaVersion === undefined) {
      throw new OmiumError('internal', `the context ${definition.name} has no event ${type}`)
    }
    let version = 0
    if (isLogRecord(type)) assertLogRecord(view, draft, decided)
    else {
      if (view.isParked(aggregate)) throw new OmiumError('execution_parked', `${aggregate} is parked`)
      version = (versions.get(aggregate) ?? view.versionOf(aggregate)) + 1
      if (version === 1) assertHome(view, aggregate)
      versions.set(aggregate, version)
    }
    if (commandId !== undefined) decided.add(commandId)
    const envelope: EventEnvelope = {
      id: ids('event'),
      type,
      schemaVersion,
      tenant: draft.tenant,
      aggregate,
      correlationId: draft.correlationId,
      actor: draft.actor,
      time: nowMs(),
      version,
      epoch: view.epoch,
      ...(traceparent !== undefined && { traceparent }),
      ...(commandId !== undefined && { commandId }),
      ...(draft.closes === true && { closes: true }),
    }
    if (!isSound(envelope)) throw new OmiumError('internal', `the envelope of ${type} lacks an identity or a time`)
    const outcome = outcomeIn(type, draft.data)
    const raw = codec.encodeEvent(envelope, draft.data)
    bytes += bytesOf(raw)
    if (bytes > maxAppendBytes) {
      throw new OmiumError('payload_too_large', `an append of more than ${maxAppendBytes} bytes, at ${type}`)
    }
    return { envelope, raw, ...(outcome && { outcome }) }
  })
}

const assertLogRecord = (view: OwnerView, { type, commandId }: EventDraft, decided: ReadonlySet<string>): void => {
  if (type === 'PartitionClaimed') throw new OmiumError('internal', 'a claim is not appended by handlers')
  if (type !== 'CommandRejected') return
  if (commandId === undefined) throw new OmiumError('internal', 'a CommandRejected needs the id of its command')
  if (decided.has(commandId) || view.isDecided(commandId)) {
    throw new OmiumError('internal', `command ${commandId} is decided and cannot be rejected any more`)
  }
}

/** An aggregate's history lives on one partition, the one of its key; elsewhere it would begin a second time. */
const assertHome = ({ partition, partitionCount }: OwnerView, aggregate: string): void => {
  const home = partitionFor(aggregate, partitionCount)
  if (home === partition) return
  throw new OmiumError('internal', `${aggregate} belongs to partition ${home}, not to ${partition}`)
}

const isSound = ({ tenant, aggregate, actor, correlationId, time }: EventEnvelope): boolean =>
  tenant !== '' && aggregate !== '' && actor !== '' && correlationId !== '' && Number.isSafeInteger(time) && time >= 0

/** The record by which `owner` claims a partition for `epoch`. */
export const prepareClaim = (
  { codec, definition, ids, nowMs }: LogContext,
  claim: { partition: number; epoch: number; owner: string; endpoint: string | undefined },
): PreparedRecord => {
  const { partition, epoch, owner, endpoint } = claim
  const envelope: EventEnvelope = {
    id: ids('event'),
    type: 'PartitionClaimed',
    schemaVersion: definition.events['PartitionClaimed']?.version ?? 1,
    tenant: 'system',
    aggregate: aggregateKey('partition', 'system', String(partition)),
    correlationId: `claim-${partition}-${epoch}`,
    actor: 'system',
    time: nowMs(),
    version: 0,
    epoch,
  }
  return { envelope, raw: codec.encodeEvent(envelope, { owner, ...(endpoint !== undefined && { endpoint }) }) }
}

/** What a record that decides a command without an event says about it; undefined for all others. */
export const outcomeIn = (type: string, data: unknown): CommandOutcome | undefined => {
  if (type === 'CommandRejected') {
    const { code, detail } = data as { code: ErrorCode; detail: string }
    return { status: 'rejected', code, detail }
  }
  if (type !== 'CommandDeduplicated') return undefined
  const { outcome } = data as { outcome: 'accepted' | { code: ErrorCode; detail: string } }
  return outcome === 'accepted' ? { status: 'accepted' } : { status: 'rejected', ...outcome }
}
