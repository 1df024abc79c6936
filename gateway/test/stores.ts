import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { createS3ObjectStore } from '@omium/payloads'
import type { ProjectionLog } from '@omium/projection-kit'
import { commandsTopic, contexts, deadLettersTopic, eventsTopic } from '@omium/schemas'
import { Redis } from 'ioredis'
import type { Pool } from 'pg'

/** Everything that an installation keeps, as text, for specs that look for what must not be there. */
export interface Stores {
  readonly pool: Pool
  readonly log: ProjectionLog
  readonly redisUrl: string
  readonly s3: Parameters<typeof createS3ObjectStore>[0]
  /** folder of the processes' logs */
  readonly logs: string
}

/** by the store, and the place in it */
export type Dump = ReadonlyMap<string, string>

const topicsOf = async ({ log }: Stores, take: (place: string, text: string) => void): Promise<void> => {
  const { transport, topicPrefix } = log.context
  const topics = contexts.flatMap(({ name }) => [commandsTopic(topicPrefix, name), eventsTopic(topicPrefix, name)])
  topics.push(deadLettersTopic(topicPrefix))
  for (const topic of topics) {
    const ends = [...(await transport.endOffsets(topic).catch(() => new Map<number, number>()))]
    for (const [partition, end] of ends.filter(([, end]) => end > 0)) {
      const reader = await transport.openReader([{ topic, partition, fromOffset: 0 }])
      for (let batch = await reader.next(); batch; batch = await reader.next()) {
        for (const { offset, key, headers, value } of batch.records)
          take(`kafka ${topic}/${partition}/${offset}`, `${key} ${JSON.stringify(headers)} ${value?.toString('utf8')}`)
        if (batch.nextOffset >= end) break
      }
      await reader.close()
    }
  }
}

const tablesOf = async ({ pool }: Stores, take: (place: string, text: string) => void): Promise<void> => {
  const { rows: tables } = await pool.query<{ name: string }>(
    `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'`,
  )
  for (const { name } of tables) {
    const { rows } = await pool.query<{ row: string }>(`SELECT row_to_json(t)::text AS row FROM ${name} t`)
    rows.forEach(({ row }, i) => void take(`postgres ${name} ${i}`, row))
  }
}

const redisOf = async ({ redisUrl }: Stores, take: (place: string, text: string) => void): Promise<void> => {
  const redis = new Redis(redisUrl)
  try {
    for await (const keys of redis.scanStream({ count: 1000 }) as AsyncIterable<string[]>)
      for (const key of keys) {
        const type = await redis.type(key)
        const value =
          type === 'string'
            ? await redis.get(key)
            : type === 'hash'
              ? await redis.hgetall(key)
              : type === 'list'
                ? await redis.lrange(key, 0, -1)
                : type === 'set'
                  ? await redis.smembers(key)
                  : type === 'zset'
                    ? await redis.zrange(key, 0, '-1')
                    : await redis.dump(key)
        take(`redis ${key}`, `${key} ${JSON.stringify(value)}`)
      }
  } finally {
    redis.disconnect()
  }
}

const objectsOf = async ({ s3, log, pool }: Stores, take: (place: string, text: string) => void): Promise<void> => {
  const objects = await createS3ObjectStore(s3)
  // other specs' installations share the bucket; objects lie under their topic or their tenant
  const { rows } = await pool.query<{ tenant: string }>(
    `SELECT tenant FROM identity.tenants WHERE tenant <> 'ten_local'`,
  )
  const own = [log.context.topicPrefix, ...rows.map(({ tenant }) => tenant)]
  try {
    for (const key of await objects.list('')) {
      if (!own.some((name) => key.includes(name))) continue
      const body = await objects.get(key).catch(() => Buffer.alloc(0))
      const plain = body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body) : body
      take(`s3 ${key}`, plain.toString('utf8'))
    }
  } finally {
    await objects.close()
  }
}

export const dumpOf = async (stores: Stores): Promise<Dump> => {
  const dump = new Map<string, string>()
  const take = (place: string, text: string) => void dump.set(place, text)
  await topicsOf(stores, take)
  await tablesOf(stores, take)
  await redisOf(stores, take)
  await objectsOf(stores, take)
  for (const file of readdirSync(stores.logs)) take(`log ${file}`, readFileSync(join(stores.logs, file), 'utf8'))
  return dump
}
