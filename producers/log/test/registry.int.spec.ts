import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'
import { freshPrefix, testStack } from '@omium/dev/testing'
import { createRegistryCodec } from '@omium/log'
import { type EventEnvelope, executionContext, jsonSchemaOf, v1 } from '@omium/schemas'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createRegistryApi } from '../src/registry/registry-api.ts'

const opened = (data: z.ZodType) => ({ name: 'demo', commands: {}, events: { Opened: v1(data) } })
const envelope: EventEnvelope = {
  id: 'evt_1',
  type: 'Opened',
  schemaVersion: 1,
  tenant: 'ten_1',
  aggregate: 'execution:ten_1/e1',
  correlationId: 'c1',
  actor: 'system',
  time: 1_700_000_000_000,
  version: 1,
  epoch: 1,
}

const both = ['event', 'command'] as const

describe('the codec on a real schema registry', () => {
  const codec = (subjectPrefix: string) => createRegistryCodec({ registryUrl: testStack().registryUrl, subjectPrefix })

  test('the whole execution context registers; a second process finds it registered', async () => {
    const prefix = freshPrefix()
    await codec(prefix).prepare(executionContext, both)
    const api = createRegistryApi(testStack().registryUrl)
    const schema = JSON.stringify(jsonSchemaOf(executionContext.events.StepCompleted))
    const id = await api.idOf(`${prefix}.execution.events-StepCompleted`, schema)
    expect(id).toBeTypeOf('number')
    await codec(prefix).prepare(executionContext, both)
    expect(await api.idOf(`${prefix}.execution.events-StepCompleted`, schema)).toBe(id)
  })

  test('an optional property may be added; a required one, a removed one and another type are refused', async () => {
    const prefix = freshPrefix()
    await codec(prefix).prepare(opened(z.object({ owner: z.string(), size: z.number() })), both)
    await codec(prefix).prepare(
      opened(z.object({ owner: z.string(), size: z.number(), note: z.string().optional() })),
      both,
    )
    const incompatible = [
      z.object({ owner: z.string(), size: z.number(), needed: z.string() }),
      z.object({ owner: z.string() }),
      z.object({ owner: z.number(), size: z.number() }),
    ]
    for (const data of incompatible) {
      await expect(codec(prefix).prepare(opened(data), both)).rejects.toMatchObject({ code: 'schema_incompatible' })
    }
  })

  test('compatibility is transitive: it holds against every older version, not only the last', async () => {
    const prefix = freshPrefix()
    const base = { owner: z.string() }
    await codec(prefix).prepare(opened(z.object(base)), both)
    await codec(prefix).prepare(opened(z.object({ ...base, kind: z.enum(['a', 'b']).optional() })), both)
    await expect(
      codec(prefix).prepare(opened(z.object({ ...base, kind: z.enum(['b']).optional() })), both),
    ).rejects.toMatchObject({ code: 'schema_incompatible' })
  })

  test('the stock client reads what we write, and we read what it writes', async () => {
    const prefix = freshPrefix()
    const mine = codec(prefix)
    await mine.prepare(opened(z.object({ owner: z.string() })), both)
    const record = mine.encodeEvent(envelope, { owner: 'ada' })
    const stock = new SchemaRegistry({ host: testStack().registryUrl })
    expect(await stock.decode(record.value as Buffer)).toEqual({ owner: 'ada' })
    const value = await stock.encode((record.value as Buffer).readUInt32BE(1), { owner: 'bob' })
    await mine.learn([{ ...record, value }])
    expect(mine.decode('event', 'Opened', 1, { ...record, value })).toEqual({ owner: 'bob' })
  })

  test('an id that the registry does not know makes the record undecodable, and nothing else', async () => {
    const mine = codec(freshPrefix())
    await mine.prepare(opened(z.object({ owner: z.string() })), both)
    const good = mine.encodeEvent(envelope, { owner: 'ada' })
    const value = Buffer.from(good.value as Buffer)
    value.writeUInt32BE(2_000_000_000, 1)
    await mine.learn([{ ...good, value }, good])
    expect(() => mine.decode('event', 'Opened', 1, { ...good, value })).toThrow(/knows no schema/)
    expect(mine.decode('event', 'Opened', 1, good)).toEqual({ owner: 'ada' })
  })
})
