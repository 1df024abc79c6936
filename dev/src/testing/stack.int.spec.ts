import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { exchange } from '../ready.ts'
import { freshDatabase, freshPrefix, testStack } from '../testing.ts'

describe('the test stack', () => {
  const stack = testStack()
  const database = freshDatabase()
  const clients: pg.Client[] = []
  afterAll(() => Promise.all(clients.map((client) => client.end())))

  it('is a Kafka broker that keeps what it acknowledges', async () => {
    const topic = `${freshPrefix()}.t`
    const client = new Kafka({ brokers: stack.kafkaBrokers, logLevel: logLevel.NOTHING })
    const admin = client.admin()
    const producer = client.producer()
    await Promise.all([admin.connect(), producer.connect()])
    try {
      await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] })
      const [sent] = await producer.send({ topic, acks: -1, messages: [{ value: 'one' }, { value: 'two' }] })
      expect(sent?.baseOffset).toBe('0')
      expect((await admin.fetchTopicOffsets(topic))[0]?.high).toBe('2')
    } finally {
      await Promise.all([admin.disconnect(), producer.disconnect()])
    }
  })

  it('does not make a topic that nobody asked for', async () => {
    const client = new Kafka({ brokers: stack.kafkaBrokers, logLevel: logLevel.NOTHING, retry: { retries: 0 } })
    const producer = client.producer()
    await producer.connect()
    try {
      await expect(producer.send({ topic: `${freshPrefix()}.none`, messages: [{ value: 'x' }] })).rejects.toThrow()
    } finally {
      await producer.disconnect()
    }
  })

  it('is a registry that speaks the Confluent API and refuses an incompatible schema', async () => {
    const subject = `${freshPrefix()}-value`
    const send = (path: string, method: string, body: unknown): Promise<Response> =>
      fetch(`${stack.registryUrl}${path}`, {
        method,
        headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
        body: JSON.stringify(body),
      })
    const schema = (type: string) => ({
      schemaType: 'JSON',
      schema: JSON.stringify({ type: 'object', properties: { a: { type } }, required: ['a'] }),
    })
    const first = await send(`/subjects/${subject}/versions`, 'POST', schema('string'))
    expect(first.status).toBe(200)
    expect(await first.json()).toHaveProperty('id')
    expect((await send(`/config/${subject}`, 'PUT', { compatibility: 'BACKWARD_TRANSITIVE' })).status).toBe(200)
    expect((await send(`/subjects/${subject}/versions`, 'POST', schema('integer'))).status).toBe(409)
  })

  it('is a PostgreSQL with a database for each spec file', async () => {
    const client = new pg.Client({ connectionString: await database })
    clients.push(client)
    await client.connect()
    const { rows } = await client.query('SELECT count(*)::int AS tables FROM pg_tables WHERE schemaname = $1', [
      'public',
    ])
    expect(rows).toEqual([{ tables: 0 }])
  })

  it('is a Redis that wants its password', async () => {
    const url = new URL(stack.redisUrl)
    const answer = (text: string): Promise<string> =>
      exchange(Number(url.port), `${text}PING\r\n`, (got) => got.includes('\n'), 30_000)
    expect(await answer('')).toMatch(/^-NOAUTH/)
    expect(await answer(`AUTH ${url.password}\r\n`)).toMatch(/^\+OK/)
  })

  it('is an S3 that gives back what it was given, with its metadata', async () => {
    const { endpoint, region, bucket, accessKeyId, secretAccessKey } = stack.s3
    const client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    })
    try {
      const object = { Bucket: bucket, Key: 'a/b' }
      await client.send(new PutObjectCommand({ ...object, Body: 'hello', Metadata: { made: 'here' } }))
      const got = await client.send(new GetObjectCommand(object))
      expect(await got.Body?.transformToString()).toBe('hello')
      expect(got.Metadata).toEqual({ made: 'here' })
      const stranger = new S3Client({
        endpoint,
        region,
        forcePathStyle: true,
        credentials: { accessKeyId, secretAccessKey: 'x' },
      })
      await expect(stranger.send(new GetObjectCommand(object))).rejects.toThrow()
      stranger.destroy()
    } finally {
      client.destroy()
    }
  })
})
