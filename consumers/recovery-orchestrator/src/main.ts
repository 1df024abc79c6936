import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createLogger, noticesTo, openHealthServer, openObjects, runService, systemClock } from '@omium/kit'
import { openCommandSender, openLog, openOwner, openTail } from '@omium/log'
import { createSnapshotStore } from '@omium/payloads'
import { eventsTopic, executionContext, recoveryContext } from '@omium/schemas'
import { readConfig } from './config.ts'
import { createEffectHistory } from './effect-history.ts'
import { Follower } from './follower.ts'
import { KnowledgeBook } from './knowledge.ts'
import { recoveryMachine } from './machine.ts'
import { createRecoveryMetrics } from './metrics.ts'
import { Orchestrator } from './orchestrator.ts'
import { Outbox } from './outbox.ts'

/** The composition root of a recovery orchestrator process. */

const drainMs = 15_000

const config = readConfig()
const logger = createLogger('recovery-orchestrator', config.OMIUM_LOG_LEVEL)
const name = `recovery-orchestrator-${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`

await runService({
  logger,
  drainMs,
  async start(life) {
    let missing: string | null = 'the process has not joined its group'
    let orchestrator: Orchestrator | undefined
    const metrics = createRecoveryMetrics()
    const health = await openHealthServer({
      listen: { host: '127.0.0.1', port: config.OMIUM_RECOVERY_PORT },
      metrics: metrics.registry,
      notReady: () => missing ?? orchestrator?.notReady() ?? null,
    })
    life.onClose('http', () => health.close())

    const objects = await openObjects(config)
    life.onClose('object store', () => objects.close())
    const onNotice = noticesTo(logger)
    const recoveries = await openLog(config, { definition: recoveryContext, clientId: name, onNotice })
    life.onClose('recovery log', () => recoveries.transport.close())
    const executions = await openLog(config, { definition: executionContext, clientId: `${name}-executions`, onNotice })
    life.onClose('execution log', () => executions.transport.close())
    const toRecoveries = await openCommandSender(recoveries)
    life.onClose('reports', () => toRecoveries.close())
    const toExecutions = await openCommandSender(executions)
    life.onClose('commands', () => toExecutions.close())

    const knowledge = new KnowledgeBook({ context: recoveries, openTail, notices: logger })
    await knowledge.open()
    life.onClose('knowledge', () => knowledge.close())

    const snapshots = createSnapshotStore(objects)
    const partitionsOf = (context: typeof recoveries): Promise<number> =>
      context.transport.partitionCount(eventsTopic(context.topicPrefix, context.definition.name))
    const [own, followed] = await Promise.all([partitionsOf(recoveries), partitionsOf(executions)])
    const delay = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        systemClock.after(ms, resolve)
      })
    const running = new Orchestrator({
      knowledge,
      outbox: new Outbox({
        executions: toExecutions,
        effects: createEffectHistory(executions, openTail),
        notices: logger,
        delay,
      }),
      clock: systemClock,
      notices: logger,
      measures: metrics.measures,
      // every partition of the executions goes with one of ours, whatever their numbers
      followersOf: (partition) =>
        Array.from({ length: followed }, (_, number) => number)
          .filter((number) => number % own === partition)
          .map(
            (number) =>
              new Follower(number, {
                log: executions,
                openTail,
                commands: toRecoveries,
                knowledge,
                snapshots,
                clock: systemClock,
                notices: logger,
                snapshotEvery: config.OMIUM_SNAPSHOT_EVERY,
                sweepMs: config.OMIUM_RECOVERY_SWEEP_MS,
              }),
          ),
    })
    orchestrator = running
    const owner = await openOwner(recoveries, {
      machine: recoveryMachine,
      handler: running,
      snapshots,
      snapshotEvery: config.OMIUM_SNAPSHOT_EVERY,
      owner: name,
      sessionTimeoutMs: config.OMIUM_OWNER_SESSION_TIMEOUT_MS,
      onNotice,
    })
    life.onClose('partitions', () => owner.close())
    metrics.observe(running, owner)
    life.onClose('followers', async () => {
      missing = 'the process is ending'
      await running.leave()
    })
    missing = null
    logger.info({ owner: name, port: health.port }, 'ready')
  },
})
