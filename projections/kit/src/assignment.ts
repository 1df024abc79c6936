import { Client } from 'pg'
import { lockNumber } from './definition.ts'

/**
 * Which partitions this process projects: partitions are shared evenly between the processes that run.
 *
 * 1. A process holds a session-level advisory lock for each of its partitions, and shares one that counts members.
 *    When it dies, so does its session, and the locks are free at once.
 * 2. A process holds at most its share, ceil(partitions / members), and takes free partitions up to it.
 * 3. This only spreads work. That nothing is applied twice rests on the offset rows (see apply-slices.ts).
 */
export interface AssignmentOptions {
  readonly databaseUrl: string
  readonly projection: string
  readonly partitions: number
  /** how often shares are looked at, ms */
  readonly intervalMs: number
  /** the partitions have changed; called with the new ones. Those taken away are given back once the promise resolves */
  onChange(partitions: readonly number[]): Promise<void>
  /** the session is gone and every partition with it */
  onLost(error: Error): void
}

export class Assignment {
  readonly #options: AssignmentOptions
  readonly #client: Client
  readonly #held = new Set<number>()
  readonly #memberLock: number
  readonly #partitionLock: number
  #timer: NodeJS.Timeout | undefined
  #closed = false
  #round: Promise<void> = Promise.resolve()

  private constructor(options: AssignmentOptions) {
    this.#options = options
    this.#memberLock = lockNumber(`omium:projection:${options.projection}:members`)
    this.#partitionLock = lockNumber(`omium:projection:${options.projection}:partitions`)
    this.#client = new Client({
      connectionString: options.databaseUrl,
      application_name: `omium-projection-${options.projection}-assignment`,
      keepAlive: true,
    })
  }

  static async open(options: AssignmentOptions): Promise<Assignment> {
    const assignment = new Assignment(options)
    assignment.#client.on('error', (error) => assignment.#lost(error))
    assignment.#client.on('end', () => assignment.#lost(new Error('the session that holds the partitions ended')))
    await assignment.#client.connect()
    await assignment.#client.query('SELECT pg_advisory_lock_shared($1, 0)', [assignment.#memberLock])
    await assignment.#look()
    assignment.#schedule()
    return assignment
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#round
    await this.#client.end().catch(() => undefined)
  }

  #schedule(): void {
    if (this.#closed) return
    this.#timer = setTimeout(() => {
      this.#round = this.#look().then(
        () => this.#schedule(),
        (error) => this.#lost(error as Error),
      )
    }, this.#options.intervalMs)
  }

  #lost(error: Error): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    this.#held.clear()
    this.#client.end().catch(() => undefined)
    this.#options.onLost(error)
  }

  async #look(): Promise<void> {
    const { rows } = await this.#client.query<{ members: string }>(
      `SELECT count(*) AS members FROM pg_locks
       WHERE locktype = 'advisory' AND classid = $1::bigint::oid AND objid = 0 AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      [this.#memberLock >>> 0],
    )
    const share = Math.ceil(this.#options.partitions / Math.max(1, Number(rows[0]?.members)))
    const surplus = [...this.#held].sort((a, b) => a - b).slice(share)
    const taken: number[] = []
    for (
      let partition = 0;
      partition < this.#options.partitions && this.#held.size + taken.length < share;
      partition++
    ) {
      if (this.#held.has(partition)) continue
      const { rows: locks } = await this.#client.query<{ locked: boolean }>(
        'SELECT pg_try_advisory_lock($1, $2) AS locked',
        [this.#partitionLock, partition],
      )
      if (locks[0]?.locked) taken.push(partition)
    }
    if (surplus.length === 0 && taken.length === 0) return
    for (const partition of surplus) this.#held.delete(partition)
    for (const partition of taken) this.#held.add(partition)
    await this.#options.onChange([...this.#held].sort((a, b) => a - b))
    for (const partition of surplus) {
      await this.#client.query('SELECT pg_advisory_unlock($1, $2)', [this.#partitionLock, partition])
    }
  }
}
