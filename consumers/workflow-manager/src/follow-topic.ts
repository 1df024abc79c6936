import type { LogTransport, StoredRecord, TransportReader } from '@omium/log'
import type { JsonValue } from '@omium/schemas'
import type { Following, FollowTopic, Notices, TopicEvent } from './ports.ts'

/** Follows a topic that others write to: JSON values, or text. Without the topic it waits for it. */
const retryDelayMs = 1_000
/** larger values cannot be what starts a run */
const maxEventBytes = 48 * 1024

const eventOf = ({ topic, partition, offset, key, timestamp, value }: StoredRecord): TopicEvent => {
  const tooLarge = value !== null && value.length > maxEventBytes
  const text = value === null || tooLarge ? null : value.toString('utf8')
  let parsed: JsonValue = text
  try {
    if (text !== null) parsed = JSON.parse(text) as JsonValue
  } catch {
    // text that is not JSON is an event as well
  }
  const event = { topic, partition, offset, key, timestamp, value: parsed, ...(tooLarge && { tooLarge }) }
  return { partition, offset, event }
}

export const createFollowTopic =
  (transport: LogTransport, notices: Notices): FollowTopic =>
  (topic, from, handlers) => {
    const follower = new Follower(transport, notices, topic, from, handlers)
    follower.start()
    return follower
  }

class Follower implements Following {
  readonly #transport: LogTransport
  readonly #notices: Notices
  readonly #topic: string
  readonly #handlers: Parameters<FollowTopic>[2]
  #positions: Record<string, number> | null
  #reader: TransportReader | undefined
  #closed = false
  #wake: (() => void) | undefined
  #loop: Promise<void> = Promise.resolve()

  constructor(
    transport: LogTransport,
    notices: Notices,
    topic: string,
    from: Readonly<Record<string, number>> | null,
    handlers: Parameters<FollowTopic>[2],
  ) {
    this.#transport = transport
    this.#notices = notices
    this.#topic = topic
    this.#positions = from && { ...from }
    this.#handlers = handlers
  }

  start(): void {
    this.#loop = this.#run()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wake?.()
    await this.#reader?.close()
    await this.#loop
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#follow()
      } catch (err) {
        if (this.#closed) return
        this.#notices.warn({ err, topic: this.#topic }, 'following a topic starts anew')
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, retryDelayMs)
          this.#wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      } finally {
        await this.#reader?.close().catch(() => undefined)
        this.#reader = undefined
      }
    }
  }

  async #follow(): Promise<void> {
    const ends = await this.#transport.endOffsets(this.#topic)
    const starts = await this.#transport.startOffsets(this.#topic)
    if (!this.#positions) {
      const positions = Object.fromEntries([...ends].map(([partition, end]) => [String(partition), end]))
      await this.#handlers.onStart(positions)
      this.#positions = positions
    }
    const positions = this.#positions
    const requests = [...ends.keys()].map((partition) => ({
      topic: this.#topic,
      partition,
      fromOffset: Math.max(positions[partition] ?? 0, starts.get(partition) ?? 0),
    }))
    if (this.#closed) return
    const reader = await this.#transport.openReader(requests)
    this.#reader = reader
    for (let batch = await reader.next(); batch && !this.#closed; batch = await reader.next()) {
      for (const record of batch.records) {
        await this.#handlers.onEvent(eventOf(record))
        positions[record.partition] = record.offset + 1
      }
    }
    if (!this.#closed) throw new Error('the reader ended')
  }
}
