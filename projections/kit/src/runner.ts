import type { LogContext, OpenTail } from '@omium/log'
import { eventsTopic } from '@omium/schemas'
import type { Pool } from 'pg'
import { type ApplyTarget, applySlices, GenerationRetired } from './apply-slices.ts'
import { Assignment } from './assignment.ts'
import type { Generation, ProjectionDefinition, Slice } from './definition.ts'
import { Intake } from './intake.ts'
import { createProjectionMetrics, type ProjectionMetrics } from './metrics.ts'
import { ensureOffsets, liveGeneration, readCheckpoints, readOffsets } from './offsets.ts'

/**
 * Runs the live generation of a projection, for ever.
 *
 * A session reads a set of partitions from their stored offsets; any error, lost partition or newer generation ends the
 * session, and the next one starts from what the database says. There is no other way to recover, so there is one to test.
 */

export interface ProjectionLog {
  readonly context: LogContext
  readonly openTail: OpenTail
}

export interface RunProjectionOptions {
  readonly definition: ProjectionDefinition
  readonly log: ProjectionLog
  readonly pool: Pool
  readonly databaseUrl: string
  readonly onNotice: (notice: {
    level: 'info' | 'warn' | 'error'
    message: string
    fields: Record<string, unknown>
  }) => void
  /** events in one transaction, at most */
  readonly maxRecords?: number
  /** records of a partition between two checkpoints */
  readonly checkpointEvery?: number
  /** how often partitions are shared out anew, ms */
  readonly assignmentIntervalMs?: number
}

export interface RunningProjection {
  readonly metrics: ProjectionMetrics
  readonly partitions: readonly number[]
  /** null while reading, otherwise why not */
  notReady(): string | null
  /** finishes the transaction in flight, stores checkpoints, gives the partitions back */
  close(): Promise<void>
}

const firstDelayMs = 100
const longestDelayMs = 5_000

export const runProjection = async (options: RunProjectionOptions): Promise<RunningProjection> => {
  const runner = new Runner(options)
  await runner.start()
  return runner
}

class Runner implements RunningProjection {
  readonly metrics: ProjectionMetrics
  readonly #options: RunProjectionOptions
  readonly #topic: string
  #assignment: Assignment | undefined
  #wanted: readonly number[] = []
  #session: Session | undefined
  #loop: Promise<void> = Promise.resolve()
  #closed = false
  #delayMs = firstDelayMs
  #problem: string | null = 'starting'
  #wake: (() => void) | undefined

  constructor(options: RunProjectionOptions) {
    this.#options = options
    this.metrics = createProjectionMetrics(options.definition.name)
    const { definition, topicPrefix } = options.log.context
    this.#topic = eventsTopic(topicPrefix, definition.name)
  }

  get partitions(): readonly number[] {
    return this.#session?.partitions ?? []
  }

  notReady(): string | null {
    return this.#problem
  }

  async start(): Promise<void> {
    this.#assignment = await this.#openAssignment()
    this.#loop = this.#run()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#problem = 'closing'
    this.#wake?.()
    await this.#session?.stop()
    await this.#loop
    await this.#assignment?.close()
  }

  async #openAssignment(): Promise<Assignment> {
    const { definition, databaseUrl, log, assignmentIntervalMs = 1000 } = this.#options
    return Assignment.open({
      databaseUrl,
      projection: definition.name,
      partitions: await log.context.transport.partitionCount(this.#topic),
      intervalMs: assignmentIntervalMs,
      onChange: async (partitions) => {
        this.#wanted = partitions
        this.#wake?.()
        await this.#session?.stop()
      },
      onLost: (error) => {
        this.#notice('warn', 'the partitions are lost', { error: error.message })
        this.#assignment = undefined
        this.#wanted = []
        this.#wake?.()
        void this.#session?.stop()
      },
    })
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        this.#assignment ??= await this.#openAssignment()
        if (this.#wanted.length === 0) {
          this.#problem = null
          await this.#pause(longestDelayMs)
          continue
        }
        const session = await Session.open(this.#options, this.#topic, this.#wanted, this.metrics)
        this.#session = session
        // partitions may have changed while it opened
        if (this.#closed || session.partitions !== this.#wanted) void session.stop()
        this.#problem = null
        this.#notice('info', 'reading', { partitions: session.partitions, generation: session.generation })
        await session.done
        this.#delayMs = firstDelayMs
      } catch (error) {
        if (this.#closed) return
        const retired = error instanceof GenerationRetired
        this.#problem = retired ? null : (error as Error).message
        this.#notice(retired ? 'info' : 'warn', 'reading starts anew', { error: (error as Error).message })
        if (!retired) await this.#pause(this.#delayMs)
        this.#delayMs = Math.min(this.#delayMs * 2, longestDelayMs)
      } finally {
        this.#session = undefined
        this.metrics.restarts.inc()
      }
    }
  }

  #pause(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #notice(level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown>): void {
    this.#options.onNotice({ level, message, fields: { projection: this.#options.definition.name, ...fields } })
  }
}

class Session {
  readonly partitions: readonly number[]
  readonly generation: number
  readonly done: Promise<void>
  readonly #intake: Intake
  #stopped = false

  private constructor(
    partitions: readonly number[],
    generation: Generation,
    intake: Intake,
    work: (session: Session) => Promise<void>,
  ) {
    this.partitions = partitions
    this.generation = generation.number
    this.#intake = intake
    this.done = work(this)
    // whoever stops the session need not look at how it ended; the loop does
    this.done.catch(() => undefined)
  }

  static async open(
    { definition, log, pool, maxRecords = 5_000, checkpointEvery = 20_000 }: RunProjectionOptions,
    topic: string,
    partitions: readonly number[],
    metrics: ProjectionMetrics,
  ): Promise<Session> {
    const generation = await liveGeneration(pool, definition.name)
    await ensureOffsets(pool, definition.name, generation.number, partitions)
    const offsets = await readOffsets(pool, definition.name, generation.number)
    const checkpoints = await readCheckpoints(pool, definition.name, generation.number)
    const tail = await log.openTail(
      log.context,
      partitions.map((partition) => {
        const fromOffset = offsets.get(partition) ?? 0
        const checkpoint = checkpoints.get(partition)
        return {
          partition,
          fromOffset,
          ...(checkpoint && checkpoint.nextOffset <= fromOffset && { checkpoint }),
        }
      }),
    )
    const intake = new Intake(tail, { maxRecords, checkpointEvery, positions: offsets })
    const target: ApplyTarget = { definition, generation, applier: definition.createApplier(), topic }
    return new Session(partitions, generation, intake, async (session) => {
      const client = await pool.connect()
      let broken: Error | undefined
      try {
        while (!session.#stopped) {
          const slices = await intake.take()
          if (!slices) break
          const done = metrics.batch.startTimer()
          const { events, deadLetters } = await applySlices(client, target, slices)
          done()
          metrics.applied.inc(events)
          metrics.deadLetters.inc(deadLetters)
          observe(metrics, slices, intake.endOffsets)
        }
      } catch (error) {
        broken = error as Error
        throw error
      } finally {
        client.release(broken)
        await intake.close()
      }
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#intake.close()
    await this.done.catch(() => undefined)
  }
}

const observe = (metrics: ProjectionMetrics, slices: readonly Slice[], endOffsets: ReadonlyMap<number, number>) => {
  for (const { partition, nextOffset, rejected } of slices) {
    metrics.lag.set({ partition }, Math.max(0, (endOffsets.get(partition) ?? nextOffset) - nextOffset))
    for (const { reason } of rejected) metrics.rejected.inc({ reason })
  }
}
