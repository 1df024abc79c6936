import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createLogger, noticesTo, openHealthServer, openObjects, runService, systemClock } from '@omium/kit'
import { openCommandSender, openLog, openOwner, partitionFor } from '@omium/log'
import {
  createCheckpointObjects,
  createPayloadStore,
  createSnapshotStore,
  withEnvelopeEncryption,
} from '@omium/payloads'
import { checkpointContext, checkpointObjectsPrefix, commandsTopic, executionContext } from '@omium/schemas'
import { createCheckpointMaker } from './checkpoint-maker.ts'
import { readConfig } from './config.ts'
import { Followers } from './followers.ts'
import { createRunHistory } from './history.ts'
import { checkpointMachine } from './machine.ts'
import { CheckpointManager } from './manager.ts'
import { createManagerMetrics } from './metrics.ts'
import { Standstill } from './standstill.ts'

/** The composition root of a checkpoint manager process. */

const drainMs = 15_000
const expireEveryMs = 10_000

const config = readConfig()
const logger = createLogger('checkpoint-manager', config.OMIUM_LOG_LEVEL)
const name = `checkpoint-manager-${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`
const onNotice = noticesTo(logger)

await runService({
  logger,
  drainMs,
  async start(life) {
    let missing: string | null = 'the process has not joined its group'
    const metrics = createManagerMetrics()
    const health = await openHealthServer({
      listen: { host: '127.0.0.1', port: config.OMIUM_CHECKPOINTS_PORT },
      metrics: metrics.registry,
      notReady: () => missing,
    })
    life.onClose('http', () => health.close())

    const stored = await openObjects(config)
    life.onClose('object store', () => stored.close())
    const objects = createCheckpointObjects(
      withEnvelopeEncryption(stored, config.OMIUM_ENCRYPTION_KEYS),
      systemClock.nowMs,
    )
    const { open } = createPayloadStore(stored)

    const context = await openLog(config, { definition: checkpointContext, clientId: name, onNotice })
    life.onClose('log', () => context.transport.close())
    const executions = await openLog(config, { definition: executionContext, clientId: `${name}-follower`, onNotice })
    life.onClose('execution log', () => executions.transport.close())
    const commands = await openCommandSender(context)
    life.onClose('command sender', () => commands.close())

    const partitions = await context.transport.partitionCount(
      commandsTopic(context.topicPrefix, checkpointContext.name),
    )
    const { measures } = metrics
    const make = createCheckpointMaker({ objects, open, commands, notices: logger, measures })
    const followers = await Followers.open({ context: executions, store: stored, notices: logger, make }, partitions)
    life.onClose('followers', () => followers.close())

    const manager = new CheckpointManager({
      objects,
      listing: { pages: () => stored.pages(checkpointObjectsPrefix), remove: (key) => stored.remove(key) },
      history: createRunHistory(executions, open),
      clock: systemClock,
      notices: logger,
      measures,
      partitionOf: (aggregate) => partitionFor(aggregate, partitions),
      onOwnership: (owned) => followers.follow(owned),
    })
    const owner = await openOwner(context, {
      machine: checkpointMachine,
      handler: manager,
      snapshots: createSnapshotStore(stored),
      snapshotEvery: config.OMIUM_SNAPSHOT_EVERY,
      owner: name,
      sessionTimeoutMs: config.OMIUM_OWNER_SESSION_TIMEOUT_MS,
      onNotice,
    })
    life.onClose('partitions', () => owner.close())
    metrics.observe(manager, owner)

    const repeat = (what: string, everyMs: number, work: () => Promise<unknown>): void => {
      let cancel: () => void = () => {}
      let running: Promise<unknown> = Promise.resolve()
      const again = (): void => {
        cancel = systemClock.after(everyMs, () => {
          running = work()
            .catch((error: unknown) => logger.warn({ err: error }, `${what} failed; it is tried again`))
            .then(again)
        })
      }
      again()
      life.onClose(what, async () => {
        cancel()
        await running
        cancel()
      })
    }
    const standstill = new Standstill(systemClock.nowMs())
    repeat('letting go of old checkpoints', expireEveryMs, () => {
      standstill.tick(systemClock.nowMs())
      return manager.expire()
    })
    repeat('sweeping', config.OMIUM_CHECKPOINT_SWEEP_MS, async () => {
      if (standstill.tick(systemClock.nowMs())) await manager.sweep()
    })
    missing = null
    logger.info({ owner: name, port: health.port }, 'ready')
  },
})
