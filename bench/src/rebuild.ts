import { setTimeout as delay } from 'node:timers/promises'
import { executionMachine } from '@omium/execution-engine'
import { type ContextOwner, type LogContext, openOwner, type SnapshotStore } from '@omium/log'
import { createS3ObjectStore, createSnapshotStore } from '@omium/payloads'
import { rebuild } from '@omium/projection-executions'
import { openLog } from '@omium/projection-kit'
import { executionContext, OmiumError } from '@omium/schemas'
import type { Flags } from './flags.ts'
import { fillPartition } from './history.ts'
import { projectedEvents } from './measures.ts'
import { type BenchStack, startBenchStack } from './stack.ts'
import { table } from './table.ts'

export interface RebuildResult {
  readonly events: number
  readonly rows: readonly { readonly what: string; readonly seconds: number; readonly eventsPerSecond: number }[]
}

const snapshotEvery = 100_000

/** One partition with so many events: how long an owner takes to have its state, and the read models to be built. */
export const benchRebuild = async (flags: Flags, say: (line: string) => void): Promise<RebuildResult> => {
  const { fsync, events } = flags
  const stack = await startBenchStack({ fsync, services: 'none', partitions: 1, say })
  const rows: RebuildResult['rows'][number][] = []
  const timed = async (what: string, count: number, work: () => Promise<unknown>): Promise<void> => {
    const begin = performance.now()
    await work()
    const seconds = (performance.now() - begin) / 1000
    rows.push({ what, seconds: Math.round(seconds * 100) / 100, eventsPerSecond: Math.round(count / seconds) })
    say(`${what}: ${seconds.toFixed(2)} s`)
  }
  try {
    const objects = await createS3ObjectStore(s3Of(stack))
    const store = gatedStore(createSnapshotStore(objects))
    // connected and provisioned beforehand: what is timed is joining, claiming and folding
    const log = await openLog(stack.environment, executionContext, 'omium-bench-owner', () => {})
    let owner: ContextOwner | undefined
    let appended = 0
    await timed('append, real owner, group commit', events, async () => {
      owner = await ownOnce(stack, log.context, store.real, async (partition) => {
        appended = await fillPartition(partition, events)
      })
    })
    // what a kill leaves behind: no snapshot taken at the end
    store.closeForWriting()
    await owner?.close()
    await timed('owner recovery without a snapshot', events, async () => {
      owner = await ownOnce(stack, log.context, store.empty, async () => {})
    })
    await owner?.close()
    await timed(`owner recovery from the newest snapshot (one each ${snapshotEvery})`, events, async () => {
      owner = await ownOnce(stack, log.context, store.real, async () => {})
    })
    await owner?.close()
    await log.close()
    await measureProjection(stack, appended, timed)
    await objects.close()
  } finally {
    await stack.stop()
  }
  return { events, rows }
}

const s3Of = ({ environment }: BenchStack) => ({
  endpoint: environment['OMIUM_S3_ENDPOINT'] ?? '',
  region: environment['OMIUM_S3_REGION'] ?? '',
  bucket: environment['OMIUM_S3_BUCKET'] ?? '',
  accessKeyId: environment['OMIUM_S3_ACCESS_KEY_ID'] ?? '',
  secretAccessKey: environment['OMIUM_S3_SECRET_ACCESS_KEY'] ?? '',
})

/** The real store, with a latch against writing; and one that has nothing and keeps nothing. */
const gatedStore = (store: SnapshotStore) => {
  let open = true
  const real: SnapshotStore = {
    ...store,
    save: async (topic, partition, nextOffset, body) => {
      if (open) await store.save(topic, partition, nextOffset, body)
    },
  }
  const empty: SnapshotStore = { ...store, list: async () => [], save: async () => {} }
  return {
    real,
    empty,
    closeForWriting: () => {
      open = false
    },
  }
}

type Partition = Parameters<
  Parameters<typeof openOwner<ReturnType<typeof executionMachine.empty>>>[1]['handler']['owned']
>[0]

/** Becomes the owner of the one partition with the engine's own fold, does the work, and stays owner. */
const ownOnce = async (
  stack: BenchStack,
  context: LogContext,
  snapshots: SnapshotStore,
  work: (partition: Partition) => Promise<void>,
): Promise<ContextOwner> => {
  const owned = Promise.withResolvers<void>()
  const owner = await openOwner(context, {
    machine: executionMachine,
    handler: {
      owned: (partition) => void work(partition).then(owned.resolve, owned.reject),
      command: (partition, command) => partition.reject(command, 'unavailable', 'this is a bench'),
      lost: () => {},
    },
    snapshots,
    snapshotEvery,
    owner: 'bench',
    sessionTimeoutMs: Number(stack.environment['OMIUM_OWNER_SESSION_TIMEOUT_MS']),
    onNotice: ({ level, message, fields }) => {
      if (level === 'error') owned.reject(new OmiumError('internal', `${message} ${JSON.stringify(fields)}`))
    },
  })
  await owned.promise
  return owner
}

const measureProjection = async (
  stack: BenchStack,
  events: number,
  timed: (what: string, count: number, work: () => Promise<unknown>) => Promise<void>,
): Promise<void> => {
  const migrated = stack.spawn('migrations', 'migrations/src/main.ts')
  await migrated.exited
  await timed('projection from nothing to the end', events, async () => {
    const projection = stack.spawn('projections', 'projections/service/src/main.ts')
    await stack.answers(`http://127.0.0.1:${stack.environment['OMIUM_PROJECTIONS_PORT']}/ready`)
    while ((await projectedEvents(stack)) < events) {
      if (projection.hasExited()) throw new Error('the projection process ended')
      await delay(20)
    }
  })
  await timed('blue/green rebuild with comparison and switch', events, () =>
    rebuild({ env: stack.environment, databaseUrl: stack.environment['OMIUM_DATABASE_URL'] ?? '' }),
  )
}

export const rebuildText = ({ events, rows }: RebuildResult): string =>
  [
    `one partition with ${events.toLocaleString('en-US')} events`,
    '',
    table(rows.map((row) => ({ what: row.what, seconds: row.seconds, 'events/s': row.eventsPerSecond }))),
  ].join('\n')
