import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createLogger, noticesTo, openHealthServer, openObjects, runService, systemClock } from '@omium/kit'
import { openCommandSender, openLog, openOwner, openTail } from '@omium/log'
import { createPayloadStore, createSnapshotStore } from '@omium/payloads'
import { eventsTopic, executionContext, workflowContext } from '@omium/schemas'
import { readConfig } from './config.ts'
import { createFollowEnds } from './follow-ends.ts'
import { createFollowTopic } from './follow-topic.ts'
import { workflowMachine } from './machine.ts'
import { Manager } from './manager.ts'
import { createManagerMetrics } from './metrics.ts'
import { createProgress } from './progress.ts'

/** The composition root of a workflow manager process. */

const drainMs = 15_000

const config = readConfig()
const logger = createLogger('workflow-manager', config.OMIUM_LOG_LEVEL)
const name = `workflow-manager-${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`

await runService({
  logger,
  drainMs,
  async start(life) {
    let missing: string | null = 'the process has not joined its group'
    const metrics = createManagerMetrics()
    const health = await openHealthServer({
      listen: { host: '127.0.0.1', port: config.OMIUM_WORKFLOW_MANAGER_PORT },
      metrics: metrics.registry,
      notReady: () => missing,
    })
    life.onClose('http', () => health.close())
    const objects = await openObjects(config)
    life.onClose('object store', () => objects.close())
    const onNotice = noticesTo(logger)
    const executions = await openLog(config, { definition: executionContext, clientId: name, onNotice })
    life.onClose('log of executions', () => executions.transport.close())
    const commands = await openCommandSender(executions)
    life.onClose('command sender', () => commands.close())
    const context = await openLog(config, { definition: workflowContext, clientId: name, onNotice })
    life.onClose('log', () => context.transport.close())

    const snapshots = createSnapshotStore(objects)
    const manager = new Manager({
      clock: systemClock,
      notices: logger,
      measures: metrics.measures,
      executions: commands,
      payloads: createPayloadStore(objects),
      followEnds: createFollowEnds({
        context: executions,
        openTail,
        progress: createProgress(snapshots, config.OMIUM_TOPIC_PREFIX),
        partitions: await context.transport.partitionCount(eventsTopic(context.topicPrefix, context.definition.name)),
        notices: logger,
        nowMs: systemClock.nowMs,
      }),
      followTopic: createFollowTopic(context, logger),
    })
    const owner = await openOwner(context, {
      machine: workflowMachine,
      handler: manager,
      snapshots,
      snapshotEvery: config.OMIUM_SNAPSHOT_EVERY,
      owner: name,
      sessionTimeoutMs: config.OMIUM_OWNER_SESSION_TIMEOUT_MS,
      onNotice,
    })
    life.onClose('partitions', () => owner.close())
    metrics.observe(manager, owner)
    missing = null
    logger.info({ port: health.port, owner: name }, 'ready')
  },
})
