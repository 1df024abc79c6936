import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort } from '@omium/dev'
import { eventually, freshPrefix, testStack } from '@omium/dev/testing'
import type { DeltaView } from '@omium/schemas'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createDeltaPublisher, createDeltaSubscriber, type DeltaPublisher, type DeltaSubscriber } from '../src/index.ts'

/** Real Redis, behind a port that can be closed. */
let gate: Server
let sockets: Set<Socket>
let publisher: DeltaPublisher
let subscriber: DeltaSubscriber
const errors: unknown[] = []

const openGate = (port: number): Promise<void> => {
  const target = new URL(testStack().redisUrl)
  sockets = new Set()
  gate = createServer((socket) => {
    const redis = connect(Number(target.port || 6379), target.hostname)
    sockets.add(socket)
    socket.pipe(redis).pipe(socket)
    socket.on('error', () => redis.destroy())
    redis.on('error', () => socket.destroy())
    socket.on('close', () => redis.destroy())
  })
  return new Promise((resolve, reject) => gate.once('error', reject).listen(port, '127.0.0.1', resolve))
}
const portOf = (): number => (gate.address() as { port: number }).port
const closeGate = async (): Promise<void> => {
  const closed = new Promise((resolve) => gate.close(resolve))
  for (const socket of sockets) socket.destroy()
  await closed
}

beforeEach(async () => {
  // not one that the system gives: while the gate is closed, somebody's outgoing connection could take it
  await openGate(await freePort())
  const url = new URL(testStack().redisUrl)
  url.hostname = '127.0.0.1'
  url.port = String(portOf())
  const options = { url: url.href, topicPrefix: freshPrefix(), onError: (error: unknown) => errors.push(error) }
  publisher = createDeltaPublisher(options)
  subscriber = createDeltaSubscriber(options)
})
afterEach(async () => {
  publisher.close()
  subscriber.close()
  await closeGate()
})

const delta = (text: string): DeltaView => ({ path: 'chat#1', attempt: 1, text })
/** publishes until one arrives: nothing says when a subscription has taken effect */
const untilHeard = (heard: DeltaView[], text: string): Promise<void> =>
  eventually(() => {
    publisher.publish('ten_a', 'run', delta(text))
    expect(heard.some((one) => one.text === text)).toBe(true)
  })

it('reaches the watchers of one execution of one tenant', async () => {
  const heard: DeltaView[] = []
  const others: DeltaView[] = []
  subscriber.subscribe('ten_b', 'run', (one) => others.push(one))
  subscriber.subscribe('ten_a', 'run2', (one) => others.push(one))
  const stop = subscriber.subscribe('ten_a', 'run', (one) => heard.push(one))
  await untilHeard(heard, 'a')
  heard.length = 0
  for (let i = 0; i < 100; i++) publisher.publish('ten_a', 'run', delta(`${i} `))
  publisher.publish('ten_a', 'run', delta('x'.repeat(70_000)))
  await eventually(() => expect(heard.filter(({ text }) => text !== 'a')).toHaveLength(100))
  expect(heard.map(({ text }) => text).join('')).toContain('98 99 ')
  expect(others).toEqual([])
  stop()
  const stopped = heard.length
  const again: DeltaView[] = []
  subscriber.subscribe('ten_a', 'run', (one) => again.push(one))
  await untilHeard(again, 'b')
  expect(heard).toHaveLength(stopped)
})

it('is dropped while Redis is away, and goes on when it is back', async () => {
  const heard: DeltaView[] = []
  subscriber.subscribe('ten_a', 'run', (one) => heard.push(one))
  await untilHeard(heard, 'before')
  const port = portOf()
  errors.length = 0
  await closeGate()
  for (let i = 0; i < 5_000; i++) publisher.publish('ten_a', 'run', delta('lost'))
  const later: DeltaView[] = []
  subscriber.subscribe('ten_a', 'other', (one) => later.push(one))
  await eventually(() => expect(errors.length).toBeGreaterThan(0))
  await openGate(port)
  await untilHeard(heard, 'after')
  expect(heard.some(({ text }) => text === 'lost')).toBe(false)
})
