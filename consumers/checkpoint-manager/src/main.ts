import { runCapability, systemClock } from '@omium/kit'
import { partitionFor } from '@omium/log'
import { createCheckpointObjects, createPayloadStore, withEnvelopeEncryption } from '@omium/payloads'
import { checkpointContext, checkpointObjectsPrefix, eventsTopic, executionContext } from '@omium/schemas'
import { createCheckpointMaker } from './checkpoint-maker.ts'
import { readConfig } from './config.ts'
import { followRuns } from './follow-runs.ts'
import { createRunHistory } from './history.ts'
import { checkpointMachine } from './machine.ts'
import { CheckpointManager } from './manager.ts'
import { createManagerMetrics } from './metrics.ts'
import { Standstill } from './standstill.ts'

/** The composition root of a checkpoint manager process. */

const expireEveryMs = 10_000

const settings = readConfig()
const metrics = createManagerMetrics()

await runCapability({
  name: 'checkpoint-manager',
  context: checkpointContext,
  settings,
  listen: { host: '127.0.0.1', port: settings.OMIUM_CHECKPOINTS_PORT },
  metrics: metrics.registry,
  async build({ log, logger, objects: stored, openLog, openCommandSender, repeat }) {
    const executions = await openLog(executionContext)
    const commands = await openCommandSender(log)
    const encrypted = withEnvelopeEncryption(stored, settings.OMIUM_ENCRYPTION_KEYS)
    const objects = createCheckpointObjects(encrypted, systemClock.nowMs)
    const { open } = createPayloadStore(stored)
    const { measures } = metrics
    const partitions = await log.transport.partitionCount(eventsTopic(log.topicPrefix, checkpointContext.name))
    const manager = new CheckpointManager({
      objects,
      listing: { pages: () => stored.pages(checkpointObjectsPrefix), remove: (key) => stored.remove(key) },
      history: createRunHistory(executions, open),
      clock: systemClock,
      notices: logger,
      measures,
      partitionOf: (aggregate) => partitionFor(aggregate, partitions),
    })
    const make = createCheckpointMaker({ objects, open, commands, notices: logger, measures })
    return {
      machine: checkpointMachine,
      handler: manager,
      follows: [followRuns({ executions, notices: logger, make })],
      joined() {
        metrics.observe(manager)
        const standstill = new Standstill(systemClock.nowMs())
        repeat('letting go of old checkpoints', expireEveryMs, () => {
          standstill.tick(systemClock.nowMs())
          return manager.expire()
        })
        repeat('sweeping', settings.OMIUM_CHECKPOINT_SWEEP_MS, async () => {
          if (standstill.tick(systemClock.nowMs())) await manager.sweep()
        })
      },
    }
  },
})
