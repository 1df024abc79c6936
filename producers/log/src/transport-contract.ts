import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type {
  AppendReceipt,
  GroupMember,
  GroupRequest,
  LogTransport,
  RawRecord,
  ReadBatch,
  StoredRecord,
  TransportProducer,
  TransportReader,
} from './transport.ts'

export interface TransportUnderTest {
  readonly transport: LogTransport
  /** a topic name that no other run uses */
  readonly topic: (name: string) => string
  /** a session that members keep, however long a busy machine makes them stand still */
  readonly sessionTimeoutMs: number
  close(): Promise<void>
}

const deadlineMs = 30_000

/** Waits for a condition that other tasks bring about; fails with `what` after a deadline. */
const eventually = async (what: string, condition: () => boolean): Promise<void> => {
  const until = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > until) throw new Error(`not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const record = (text: string, headers: Record<string, string> = {}): RawRecord => ({
  key: `key-${text}`,
  headers,
  value: Buffer.from(text),
})
const texts = (records: readonly StoredRecord[]) => records.map((r) => r.value?.toString())

/** Reads one partition until `count` records came. */
const collect = async (reader: TransportReader, count: number): Promise<StoredRecord[]> => {
  const records: StoredRecord[] = []
  while (records.length < count) {
    const batch = await reader.next()
    if (batch === null) throw new Error('the reader ended')
    records.push(...batch.records)
  }
  return records
}

/** What every LogTransport must do; each adapter's specs call this. */
export const describeTransportContract = (name: string, open: () => Promise<TransportUnderTest>): void => {
  describe(`the transport contract, on ${name}`, { timeout: 60_000 }, () => {
    let subject: TransportUnderTest
    let transport: LogTransport
    const topicWith = async (label: string, partitions = 1): Promise<string> => {
      const topic = subject.topic(label)
      await transport.ensureTopics([{ topic, partitions, replication: 1 }])
      return topic
    }
    const withProducer = async <T>(use: (producer: TransportProducer) => Promise<T>): Promise<T> => {
      const producer = await transport.openProducer()
      try {
        return await use(producer)
      } finally {
        await producer.close()
      }
    }
    const put = (topic: string, partition: number, ...values: string[]): Promise<readonly AppendReceipt[]> =>
      withProducer((producer) => producer.append([{ topic, partition, records: values.map((text) => record(text)) }]))

    beforeAll(async () => {
      subject = await open()
      transport = subject.transport
    }, 120_000)
    afterAll(() => subject?.close(), 60_000)

    describe('appending and reading', () => {
      test('records come back in order, contiguous from the base offset, with key, headers and value', async () => {
        const topic = await topicWith('roundtrip')
        const sent: RawRecord[] = [
          { key: 'execution:t/ä', headers: { id: 'evt_1', note: 'größer ✓' }, value: Buffer.from([0, 1, 255]) },
          { key: null, headers: {}, value: Buffer.alloc(0) },
          { key: 'k', headers: { only: 'header' }, value: null },
        ]
        const [receipt] = await withProducer((p) => p.append([{ topic, partition: 0, records: sent }]))
        expect(receipt).toEqual({ topic, partition: 0, baseOffset: 0 })
        const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 0 }])
        const read = await collect(reader, 3)
        await reader.close()
        expect(read.map(({ key, headers, value, offset }) => ({ key, headers, value, offset }))).toEqual(
          sent.map((r, offset) => ({ ...r, offset })),
        )
        for (const r of read) {
          expect(r).toMatchObject({ topic, partition: 0 })
          expect(r.timestamp).toBeTypeOf('number')
        }
      })

      test('the next append starts where the last one ended: nothing else takes offsets', async () => {
        const topic = await topicWith('contiguous')
        const bases = await withProducer(async (p) => {
          const found: (number | undefined)[] = []
          for (const size of [1, 3, 2, 1]) {
            const records = Array.from({ length: size }, (_, i) => record(`${size}.${i}`))
            found.push((await p.append([{ topic, partition: 0, records }]))[0]?.baseOffset)
          }
          return found
        })
        expect(bases).toEqual([0, 1, 4, 6])
        expect((await put(topic, 0, 'another producer'))[0]?.baseOffset).toBe(7)
        expect(await transport.endOffsets(topic)).toEqual(new Map([[0, 8]]))
        expect(await transport.startOffsets(topic)).toEqual(new Map([[0, 0]]))
      })

      test('what is of a time or later begins at an offset, or will at the end', async () => {
        const topic = await topicWith('since', 2)
        await put(topic, 0, 'a', 'b')
        const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 0 }])
        const [first] = await collect(reader, 1)
        await reader.close()
        const at = first?.timestamp ?? Number.NaN
        const since = async (sinceMs: number) => [...(await transport.offsetsSince(topic, sinceMs)).entries()].sort()
        expect(await since(at)).toEqual([
          [0, 0],
          [1, 0],
        ])
        expect(await since(at + 60_000)).toEqual([
          [0, 2],
          [1, 0],
        ])
      })

      test('one append carries many partitions and topics, with one receipt for each', async () => {
        const topic = await topicWith('many', 3)
        const other = await topicWith('other')
        const receipts = await withProducer((p) =>
          p.append([
            { topic, partition: 2, records: [record('c')] },
            { topic, partition: 0, records: [record('a'), record('b')] },
            { topic: other, partition: 0, records: [record('d')] },
          ]),
        )
        expect(receipts).toHaveLength(3)
        expect(receipts).toEqual(
          expect.arrayContaining([
            { topic, partition: 2, baseOffset: 0 },
            { topic, partition: 0, baseOffset: 0 },
            { topic: other, partition: 0, baseOffset: 0 },
          ]),
        )
        expect(await transport.endOffsets(topic)).toEqual(
          new Map([
            [0, 2],
            [1, 0],
            [2, 1],
          ]),
        )
      })

      test('large appends keep their order', async () => {
        const topic = await topicWith('large')
        const values = Array.from({ length: 3000 }, (_, i) => `${i}:${'x'.repeat(100)}`)
        await put(topic, 0, ...values)
        const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 0 }])
        const read = await collect(reader, values.length)
        await reader.close()
        expect(texts(read)).toEqual(values)
        expect(read.map((r) => r.offset)).toEqual(values.map((_, i) => i))
      })

      test('a producer refuses to work concurrently, and after it was closed', async () => {
        const topic = await topicWith('guard')
        const producer = await transport.openProducer()
        const first = producer.append([{ topic, partition: 0, records: [record('a')] }])
        await expect(producer.append([{ topic, partition: 0, records: [record('b')] }])).rejects.toThrow()
        await first.catch(() => undefined)
        await producer.close()
        await expect(producer.append([{ topic, partition: 0, records: [record('c')] }])).rejects.toThrow()
        const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 0 }])
        expect(texts(await collect(reader, 1))).toEqual(['a'])
        await reader.close()
      })

      test('a reader starts at the given offset and says how far the log goes', async () => {
        const topic = await topicWith('middle')
        await put(topic, 0, 'a', 'b', 'c', 'd')
        const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 2 }])
        const batch = await reader.next()
        await reader.close()
        expect(batch?.records[0]).toMatchObject({ offset: 2 })
        expect(batch?.nextOffset).toBe((batch?.records.at(-1)?.offset ?? 0) + 1)
        expect(batch?.endOffset).toBe(4)
      })

      test('a reader of several partitions gets all of them, each in order', async () => {
        const topic = await topicWith('several', 3)
        for (const p of [0, 1, 2]) await put(topic, p, `${p}a`, `${p}b`)
        const reader = await transport.openReader([0, 1, 2].map((partition) => ({ topic, partition, fromOffset: 0 })))
        const read = await collect(reader, 6)
        await reader.close()
        for (const p of [0, 1, 2]) expect(texts(read.filter((r) => r.partition === p))).toEqual([`${p}a`, `${p}b`])
      })

      test('a reader at the end waits for what is appended next', async () => {
        const topic = await topicWith('waits')
        await put(topic, 0, 'old')
        const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 1 }])
        const waiting = reader.next()
        await put(topic, 0, 'new')
        expect(texts((await waiting)?.records ?? [])).toEqual(['new'])
        await reader.close()
      })

      test('closing a reader ends a pending next with null', async () => {
        const topic = await topicWith('ends')
        const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 0 }])
        const waiting = reader.next()
        await reader.close()
        expect(await waiting).toBeNull()
        expect(await reader.next()).toBeNull()
      })

      test('an offset beyond the end is an error, never a silent jump', async () => {
        const topic = await topicWith('range')
        await put(topic, 0, 'a')
        const read = async () => {
          const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 10 }])
          try {
            return await reader.next()
          } finally {
            await reader.close()
          }
        }
        await expect(read()).rejects.toThrow()
      })
    })

    describe('topics', () => {
      test('ensuring what exists changes nothing; another partition count is an error', async () => {
        const topic = await topicWith('ensure', 2)
        await put(topic, 1, 'kept')
        await transport.ensureTopics([{ topic, partitions: 2, replication: 1 }])
        expect(await transport.partitionCount(topic)).toBe(2)
        expect(await transport.endOffsets(topic)).toEqual(
          new Map([
            [0, 0],
            [1, 1],
          ]),
        )
        await expect(transport.ensureTopics([{ topic, partitions: 3, replication: 1 }])).rejects.toThrow()
      })

      test('an unknown topic is an error', async () => {
        await expect(transport.partitionCount(subject.topic('never-made'))).rejects.toThrow()
      })
    })

    describe('group membership', () => {
      class Recorder {
        assigned: readonly number[] | undefined
        assignments = 0
        lost = 0
        readonly batches: ReadBatch[] = []
        member: GroupMember | undefined
        onAssigned: (partitions: readonly number[], member: GroupMember) => void = () => undefined

        readonly texts = (partition?: number) =>
          this.batches
            .filter((b) => partition === undefined || b.partition === partition)
            .flatMap((b) => texts(b.records))

        async join(groupId: string, topics: readonly string[]): Promise<GroupMember> {
          const request: GroupRequest = {
            groupId,
            topics,
            sessionTimeoutMs: subject.sessionTimeoutMs,
            onAssigned: (partitions, member) => {
              this.assigned = [...partitions].sort((a, b) => a - b)
              this.assignments++
              this.onAssigned(partitions, member)
            },
            onBatch: (batch) => {
              this.batches.push(batch)
            },
            onLost: () => {
              this.lost++
            },
          }
          this.member = await transport.joinGroup(request)
          return this.member
        }
      }

      test('a lone member holds every partition and is given every record from the beginning', async () => {
        const topic = await topicWith('lone', 2)
        await put(topic, 0, 'a', 'b')
        await put(topic, 1, 'c')
        const one = new Recorder()
        const member = await one.join(subject.topic('lone-group'), [topic])
        await eventually('all records', () => one.texts().length === 3)
        expect(one.assigned).toEqual([0, 1])
        expect(one.texts(0)).toEqual(['a', 'b'])
        await put(topic, 1, 'd')
        await eventually('the new record', () => one.texts(1).length === 2)
        expect(one.texts(1)).toEqual(['c', 'd'])
        await member.leave()
      })

      test('a committed offset is where the next member starts', async () => {
        const topic = await topicWith('commits')
        const group = subject.topic('commits-group')
        await put(topic, 0, 'a', 'b', 'c')
        const one = new Recorder()
        const first = await one.join(group, [topic])
        await eventually('the records', () => one.texts().length === 3)
        expect(await first.committed(topic, 0)).toBeNull()
        await first.commit(topic, 0, 2)
        expect(await first.committed(topic, 0)).toBe(2)
        await first.leave()
        const two = new Recorder()
        const second = await two.join(group, [topic])
        await eventually('the rest', () => two.texts().length >= 1)
        expect(two.texts()).toEqual(['c'])
        await second.leave()
      })

      test('a partition paused in onAssigned delivers nothing until it is resumed, then from where it was sought', async () => {
        const topic = await topicWith('paused', 2)
        await put(topic, 0, 'a', 'b', 'c')
        await put(topic, 1, 'x')
        const one = new Recorder()
        one.onAssigned = (_, member) => member.pause(topic, 0)
        const member = await one.join(subject.topic('paused-group'), [topic])
        await eventually('the other partition', () => one.texts(1).length === 1)
        expect(one.texts(0)).toEqual([])
        member.seek(topic, 0, 1)
        member.resume(topic, 0)
        await eventually('the rest', () => one.texts(0).length >= 2)
        expect(one.texts(0)).toEqual(['b', 'c'])
        await member.leave()
      })

      test('seeking back delivers again from there', async () => {
        const topic = await topicWith('seek')
        await put(topic, 0, 'a', 'b', 'c')
        const one = new Recorder()
        const member = await one.join(subject.topic('seek-group'), [topic])
        await eventually('the records', () => one.texts().length === 3)
        member.pause(topic, 0)
        member.seek(topic, 0, 1)
        member.resume(topic, 0)
        await eventually('the records again', () => one.texts().length === 5)
        expect(one.texts()).toEqual(['a', 'b', 'c', 'b', 'c'])
        await member.leave()
      })

      test('two members share the partitions of co-partitioned topics alike; when one leaves, the other has all', async () => {
        const commands = await topicWith('co-commands', 4)
        const events = await topicWith('co-events', 4)
        const group = subject.topic('shared-group')
        const one = new Recorder()
        const two = new Recorder()
        const first = await one.join(group, [commands, events])
        await eventually('the first assignment', () => one.assigned?.length === 4)
        const second = await two.join(group, [commands, events])
        await eventually('a fair share', () => one.assigned?.length === 2 && two.assigned?.length === 2)
        expect([...(one.assigned ?? []), ...(two.assigned ?? [])].sort((a, b) => a - b)).toEqual([0, 1, 2, 3])
        const mine = one.assigned?.[0] ?? 0
        await put(commands, mine, 'command')
        await put(events, mine, 'event')
        await eventually('both topics', () => one.texts(mine).length === 2)
        expect(two.texts(mine)).toEqual([])
        await second.leave()
        await eventually('everything', () => one.assigned?.length === 4)
        await first.leave()
      })

      test('nothing is delivered after leaving', async () => {
        const topic = await topicWith('left')
        const one = new Recorder()
        const member = await one.join(subject.topic('left-group'), [topic])
        await put(topic, 0, 'a')
        await eventually('the record', () => one.texts().length === 1)
        await member.leave()
        await put(topic, 0, 'b')
        const reader = await transport.openReader([{ topic, partition: 0, fromOffset: 1 }])
        expect(texts(await collect(reader, 1))).toEqual(['b'])
        await reader.close()
        expect(one.texts()).toEqual(['a'])
      })
    })
  })
}
