import type { AcceptedEvent } from '@omium/log'
import { parseAggregateKey } from '@omium/schemas'
import type { Applier, ProjectionTx } from './definition.ts'

/** For read models whose events are few: a statement or two for each event, in the order of the log. */

/** Text as Postgres can hold it, which is every character but U+0000: that becomes U+FFFD. */
export const storable = (text: string): string => text.replaceAll('\0', '\uFFFD')

const storableValue = (value: unknown): unknown => {
  if (typeof value === 'string') return storable(value)
  return Array.isArray(value) ? value.map(storableValue) : value
}

/** One event's place in the log, and the statements that it leads to. */
export class Place {
  readonly tenant: string
  /** of the aggregate */
  readonly id: string
  /** when it was recorded, ISO 8601 */
  readonly at: string
  /** of the aggregate, after this event */
  readonly version: number
  readonly partition: number
  readonly offset: number
  readonly #tx: ProjectionTx

  constructor(tx: ProjectionTx, { envelope, partition, offset }: AcceptedEvent, id: string) {
    this.#tx = tx
    this.tenant = envelope.tenant
    this.id = id
    this.at = new Date(envelope.time).toISOString()
    this.version = envelope.version
    this.partition = partition
    this.offset = offset
  }

  /** @param sql `@` stands for the schema; values are stored as {@link storable} says */
  async run(sql: string, ...values: readonly unknown[]): Promise<void> {
    await this.#tx.client.query(sql.replaceAll('@', `${this.#tx.schema}.`), values.map(storableValue))
  }
}

/** An applier that takes events one by one and remembers nothing. Records of the partition itself are left out. */
export const applyEach = (apply: (place: Place, event: AcceptedEvent) => Promise<void>): Applier => ({
  forget: () => undefined,
  apply: async (events, tx) => {
    for (const event of events) {
      const key = parseAggregateKey(event.envelope.aggregate)
      if (key) await apply(new Place(tx, event, key.id), event)
    }
  },
})
