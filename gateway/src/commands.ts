import { createHash } from 'node:crypto'
import type { CommandSender } from '@omium/log'
import type { Live } from '@omium/projection-kit'
import { aggregateKey, type ExecutionContextCommand, OmiumError, type WriteReceipt } from '@omium/schemas'

/** Who asks, for the command's envelope. */
export interface Asker {
  readonly tenant: string
  readonly actor: string
  readonly correlationId: string
  readonly traceparent?: string
}

export interface Commands {
  /**
   * Sends a command to an execution and waits until its outcome is accepted on the log.
   * @throws OmiumError of the outcome's code when it was rejected, `timeout` when there is none yet
   */
  execute(asker: Asker, executionId: string, commandId: string, command: ExecutionContextCommand): Promise<WriteReceipt>
}

/** The same parts give the same command id, so that a repeated request is decided once. */
export const deterministicCommandId = (...parts: readonly string[]): string =>
  `cmd_${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 40)}`

/** What became of a command, once it is accepted on the log. */
export interface Decided {
  readonly position: string
  readonly deduplicated: boolean
}

/** Sends a command to an aggregate of one context and waits for its outcome, as {@link Commands.execute} says. */
export type Execute = (
  asker: Asker,
  aggregate: string,
  commandId: string,
  command: { readonly type: string; readonly data: unknown },
) => Promise<Decided>

export const createExecute =
  (sender: CommandSender, live: Live, timeoutMs: number): Execute =>
  async (asker, aggregate, commandId, { type, data }) => {
    const wait = live.awaitOutcome(commandId, timeoutMs)
    const sent = sender.send({ id: commandId, type, data, aggregate, ...asker }).then(() => wait.outcome)
    // a log that hangs is not waited for any longer than for the outcome, and an outcome says that the command was sent
    const outcome = await Promise.race([sent, wait.outcome]).finally(wait.cancel)
    if (outcome.status === 'rejected') throw new OmiumError(outcome.code, outcome.detail)
    const { partition, offset } = outcome.position
    return { position: `${partition}:${offset}`, deduplicated: outcome.deduplicated }
  }

export const createCommands = (execute: Execute): Commands => ({
  execute: async (asker, executionId, commandId, command) => ({
    executionId,
    ...(await execute(asker, aggregateKey('execution', asker.tenant, executionId), commandId, command)),
  }),
})
