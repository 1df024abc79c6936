import { z } from 'zod'

/**
 * What every record says about itself, beside its payload. Carried in record headers, so that readers can accept, route
 * and skip records without decoding payloads.
 */
const common = z.object({
  /** event id or command id, `evt_`/`cmd_` + UUIDv7; a command's id is its idempotency key */
  id: z.string().min(1).max(200),
  type: z.string().min(1),
  /** schema version of the payload, from 1 */
  schemaVersion: z.number().int().positive(),
  tenant: z.string().min(1),
  /** aggregate key, see {@link aggregateKey}; also the record key, so co-partitioned */
  aggregate: z.string().min(1),
  /** the id of the request that started the chain of cause and effect */
  correlationId: z.string().min(1),
  /** who: `key:<id>`, `worker:<id>`, `user:<id>`, `system` */
  actor: z.string().min(1),
  /** W3C trace context */
  traceparent: z.string().optional(),
  /** ms since the epoch, of the producer's clock */
  time: z.number().int().nonnegative(),
})

export const commandEnvelope = common
export type CommandEnvelope = z.infer<typeof commandEnvelope>

export const eventEnvelope = common.extend({
  /** version of the aggregate after this event, from 1; 0 for records that belong to no aggregate's history */
  version: z.number().int().nonnegative(),
  /** epoch of the owner that wrote it; a `PartitionClaimed` carries the epoch it claims */
  epoch: z.number().int().nonnegative(),
  /** the command that this record decides, when there was one */
  commandId: z.string().optional(),
  /** nothing can happen to the aggregate after this event; readers may forget it, its version is kept for a window */
  closes: z.boolean().optional(),
})
export type EventEnvelope = z.infer<typeof eventEnvelope>

export const aggregateTypes = [
  'execution',
  'agent',
  'permits',
  'thread',
  'workflow',
  'schedule',
  'trigger',
  'policy',
  'incident',
  'address',
  'user',
  'tenant',
  'api_key',
  'magic_link',
  'device_grant',
  'webhook_endpoint',
  'partition',
] as const
export type AggregateType = (typeof aggregateTypes)[number]

/** `<type>:<tenant>/<id>`: the key of an aggregate's records, unique across tenants. */
export const aggregateKey = (type: AggregateType, tenant: string, id: string): string => `${type}:${tenant}/${id}`

export const parseAggregateKey = (key: string): { type: AggregateType; tenant: string; id: string } | undefined => {
  const colon = key.indexOf(':')
  const slash = key.indexOf('/', colon)
  const type = key.slice(0, colon) as AggregateType
  if (colon < 0 || slash < 0 || !aggregateTypes.includes(type)) return undefined
  return { type, tenant: key.slice(colon + 1, slash), id: key.slice(slash + 1) }
}
