import { openCommandSender, partitionFor } from '@omium/log'
import { type LiveContext, type LiveContextOptions, openLiveContext } from '@omium/projection-kit'
import { eventsTopic } from '@omium/schemas'
import { createExecute, type Execute } from './commands.ts'
import { waitForPosition } from './reads.ts'

/** The gateway's part in one context of the log: commands with their outcomes, and reads that see what was answered before. */
export interface GatewayContext extends LiveContext {
  readonly execute: Execute
  /**
   * Waits, within a bound, until the read models hold what this gateway has told anybody about the aggregate (undefined: about
   * all of them). Commands are answered from the live tail, which may be ahead.
   */
  untilCurrent(aggregate?: string): Promise<void>
  /** Waits until the read models hold a position (`<partition>:<offset>`). @throws OmiumError `offset_not_reached` */
  untilReached(position: string | undefined): Promise<void>
  /** Asks the brokers. The tail itself waits for them for ever, and says nothing. @throws OmiumError `log_unreachable` */
  askLog(): Promise<unknown>
}

export interface GatewayContextOptions extends LiveContextOptions {
  readonly commandTimeoutMs: number
  readonly readWaitMs: number
}

export const openGatewayContext = async (options: GatewayContextOptions): Promise<GatewayContext> => {
  const { log, commandTimeoutMs, readWaitMs } = options
  const context = await openLiveContext(options)
  const { live, positions } = context
  const sender = await openCommandSender(log.context)
  const caughtUp = (partition: number) => positions.reached(partition, live.nextOffset(partition) - 1, readWaitMs)
  return {
    ...context,
    execute: createExecute(sender, live, commandTimeoutMs),
    untilCurrent: async (aggregate) => {
      if (aggregate !== undefined) await caughtUp(partitionFor(aggregate, live.partitionCount))
      else await Promise.all(Array.from({ length: live.partitionCount }, (_, partition) => caughtUp(partition)))
    },
    untilReached: (position) => waitForPosition(positions, live.partitionCount, position, readWaitMs),
    askLog: () => log.context.transport.endOffsets(eventsTopic(log.context.topicPrefix, log.context.definition.name)),
    close: async () => {
      await sender.close()
      await context.close()
    },
  }
}
