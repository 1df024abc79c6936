import { type CommandEnvelope, commandsTopic, OmiumError } from '@omium/schemas'
import type { CommandDraft, CommandSender, LogContext, OpenCommandSender } from './contract.ts'
import { GroupCommit } from './group-commit.ts'
import { partitionFor } from './partitioning.ts'
import { systemTimers } from './timers.ts'
import type { RawRecord } from './transport.ts'

const maxAttempts = 8

/**
 * The record of a command draft.
 * @throws OmiumError `invalid_request` when the context has no such command
 */
export const commandRecord = (context: LogContext, draft: CommandDraft): RawRecord => {
  const definition = context.definition.commands[draft.type]
  if (definition === undefined) {
    throw new OmiumError('invalid_request', `the context ${context.definition.name} has no command ${draft.type}`)
  }
  const envelope: CommandEnvelope = {
    id: draft.id,
    type: draft.type,
    schemaVersion: definition.version,
    tenant: draft.tenant,
    aggregate: draft.aggregate,
    correlationId: draft.correlationId,
    actor: draft.actor,
    time: context.nowMs(),
    ...(draft.traceparent !== undefined && { traceparent: draft.traceparent }),
  }
  return context.codec.encodeCommand(envelope, draft.data)
}

/**
 * Sends a context's commands, each to the partition of its aggregate.
 * @throws OmiumError `log_unreachable`, `schema_incompatible`, `unavailable`
 */
export const openCommandSender: OpenCommandSender = async (context): Promise<CommandSender> => {
  const topic = commandsTopic(context.topicPrefix, context.definition.name)
  await context.codec.prepare(context.definition, ['command'])
  const partitions = await context.transport.partitionCount(topic)
  const commits = new GroupCommit({ transport: context.transport, timers: context.timers ?? systemTimers, maxAttempts })
  return {
    send: async (draft) => {
      const partition = partitionFor(draft.aggregate, partitions)
      const offset = await commits.send(topic, partition, commandRecord(context, draft))
      return { partition, offset }
    },
    close: () => commits.close(),
  }
}
