import { type EventEnvelope, OmiumError, v1 } from '@omium/schemas'
import { beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createRegistryCodec } from './codec.ts'
import { frame, frameHeader } from './framing.ts'
import type { RegistryApi } from './registry-api.ts'

class FakeRegistry implements RegistryApi {
  readonly schemas = new Map<string, number>()
  asked = 0
  async idOf(subject: string, schema: string) {
    return this.schemas.get(`${subject} ${schema}`)
  }
  async register(subject: string, schema: string) {
    const id = this.schemas.size + 1
    this.schemas.set(`${subject} ${schema}`, id)
    return id
  }
  async incompatibilities() {
    return []
  }
  async exists(id: number) {
    this.asked++
    return id <= this.schemas.size
  }
}

const context = {
  name: 'demo',
  commands: { Open: v1(z.object({ owner: z.string() })) },
  events: {
    Opened: v1(z.object({ owner: z.string() })),
    Renamed: {
      version: 2,
      data: z.object({ name: z.string(), by: z.string() }),
      upcasters: { 1: (old: unknown) => ({ ...(old as { name: string }), by: 'unknown' }) },
    },
  },
}

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
  epoch: 4,
  commandId: 'cmd_1',
}

const codeOf = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    return error instanceof OmiumError ? error.code : String(error)
  }
  return 'no error'
}

const both = ['event', 'command'] as const

describe('the registry codec', () => {
  let registry: FakeRegistry
  const open = async () => {
    const codec = createRegistryCodec({ registryUrl: 'http://registry.invalid', subjectPrefix: 'p', api: registry })
    await codec.prepare(context, both)
    return codec
  }
  beforeEach(() => {
    registry = new FakeRegistry()
  })

  test('a reader registers nothing, decodes what it has learned, and encodes nothing', async () => {
    const record = (await open()).encodeEvent(envelope, { owner: 'ada' })
    const registered = registry.schemas.size
    const reader = createRegistryCodec({ registryUrl: 'http://registry.invalid', subjectPrefix: 'new', api: registry })
    await reader.prepare(context, [])
    expect(registry.schemas.size).toBe(registered)
    await reader.learn([record])
    expect(reader.decode('event', envelope.type, 1, record)).toEqual({ owner: 'ada' })
    expect(codeOf(() => reader.encodeEvent(envelope, { owner: 'ada' }))).toBe('internal')
    // it may write later
    await reader.prepare(context, ['event'])
    expect(reader.encodeEvent(envelope, { owner: 'ada' }).value).toBeInstanceOf(Buffer)
  })

  test('an event comes back with its envelope and data; its key is the aggregate', async () => {
    const codec = await open()
    const record = codec.encodeEvent(envelope, { owner: 'ada' })
    expect(record.key).toBe(envelope.aggregate)
    expect(Object.keys(record.headers)).toEqual(['type', 'envelope'])
    expect(codec.eventEnvelope(record)).toEqual(envelope)
    expect(codec.decode('event', 'Opened', 1, record)).toEqual({ owner: 'ada' })
  })

  test('a command too; it is no event', async () => {
    const codec = await open()
    const { version: _v, epoch: _e, commandId: _c, ...rest } = envelope
    const record = codec.encodeCommand({ ...rest, type: 'Open' }, { owner: 'ada' })
    expect(codec.commandEnvelope(record)).toEqual({ ...rest, type: 'Open' })
    expect(codec.eventEnvelope(record)).toBeUndefined()
    expect(codec.decode('command', 'Open', 1, record)).toEqual({ owner: 'ada' })
  })

  test('the value is in Confluent framing, with one subject for each type on each topic', async () => {
    const codec = await open()
    const { value } = codec.encodeEvent(envelope, { owner: 'ada' })
    const id = [...registry.schemas].find(([subject]) => subject.startsWith('p.demo.events-Opened '))?.[1]
    expect(value?.[0]).toBe(0)
    expect(value?.readUInt32BE(1)).toBe(id)
    expect(value?.toString('utf8', 5)).toBe('{"owner":"ada"}')
  })

  test('older versions are lifted; newer ones are undecodable', async () => {
    const codec = await open()
    const record = codec.encodeEvent({ ...envelope, type: 'Renamed', schemaVersion: 1 }, { name: 'n' })
    expect(codec.decode('event', 'Renamed', 1, record)).toEqual({ name: 'n', by: 'unknown' })
    expect(codeOf(() => codec.decode('event', 'Renamed', 3, record))).toBe('record_undecodable')
  })

  test('ids of other writers are asked for once; unknown ones make a record undecodable', async () => {
    const writer = await open()
    const record = writer.encodeEvent(envelope, { owner: 'ada' })
    const reader = createRegistryCodec({
      registryUrl: 'http://registry.invalid',
      subjectPrefix: 'other',
      api: registry,
    })
    await reader.prepare(context, both)
    expect(codeOf(() => reader.decode('event', 'Opened', 1, record))).toBe('record_undecodable')
    await reader.learn([record, record])
    await reader.learn([record])
    expect(registry.asked).toBe(1)
    expect(reader.decode('event', 'Opened', 1, record)).toEqual({ owner: 'ada' })
    const foreign = { ...record, value: frame(frameHeader(999), '{"owner":"ada"}') }
    await reader.learn([foreign])
    await reader.learn([foreign])
    expect(registry.asked).toBe(2)
    expect(codeOf(() => reader.decode('event', 'Opened', 1, foreign))).toBe('record_undecodable')
  })

  test('garbage is undecodable, whatever it is, and no envelope', async () => {
    const codec = await open()
    const good = codec.encodeEvent(envelope, { owner: 'ada' })
    const header = good.value?.subarray(0, 5) as Buffer
    const values = [
      null,
      Buffer.alloc(0),
      Buffer.from('text'),
      Buffer.from([0, 0]),
      frame(header, '{'),
      frame(header, '{}'),
    ]
    for (const value of values) {
      await codec.learn([{ ...good, value }])
      expect(codeOf(() => codec.decode('event', 'Opened', 1, { ...good, value }))).toBe('record_undecodable')
    }
    expect(codeOf(() => codec.decode('event', 'Nothing', 1, good))).toBe('record_undecodable')
    const headers: Record<string, string>[] = [
      {},
      { type: 'Opened' },
      { type: 'Opened', envelope: '{' },
      { type: 'Opened', envelope: 'null' },
      { type: 'Opened', envelope: '{"id":1}' },
    ]
    for (const bad of headers) expect(codec.eventEnvelope({ ...good, headers: bad })).toBeUndefined()
    expect(codec.eventEnvelope({ ...good, key: null })).toBeUndefined()
  })

  test('two contexts may share a definition but not redefine a type', async () => {
    const codec = await open()
    await codec.prepare({ ...context, name: 'second' }, both)
    const other = { name: 'third', commands: {}, events: { Opened: v1(z.object({ other: z.number() })) } }
    await expect(codec.prepare(other, both)).rejects.toThrow(/differently/)
  })
})
