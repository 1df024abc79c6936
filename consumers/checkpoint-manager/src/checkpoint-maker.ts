import type { Notices } from '@omium/kit'
import type { CommandSender } from '@omium/log'
import { aggregateKey, type CheckpointCommand, hashJson, maxCheckpointBytes } from '@omium/schemas'
import type { DueCheckpoint } from './domain/run-watch.ts'
import type { ManagerMeasures, Objects } from './ports.ts'
import { isTooLarge, journalBytes, journalOf, type OpenPayload } from './run-checkpoints.ts'

export interface MakerOptions {
  readonly objects: Objects
  readonly open: OpenPayload
  readonly commands: Pick<CommandSender, 'send'>
  readonly notices: Notices
  readonly measures: ManagerMeasures
}

/**
 * Stores what is due and asks its thread's owner to take it up. The command's id is that of the checkpoint: made twice, it is
 * decided once. @throws OmiumError when a part of the platform is away; the same call may succeed later
 */
export const createCheckpointMaker =
  ({ objects, open, commands, notices, measures }: MakerOptions) =>
  async ({ tenant, threadId, checkpointId, parentId, label, point, content }: DueCheckpoint): Promise<void> => {
    const { kind } = content
    const leaveOut = (bytes: number | undefined): void => {
      const fields = { tenant, thread: threadId, checkpointId, ...(bytes !== undefined && { bytes }) }
      notices.warn(fields, 'a checkpoint is too large and is left out; the journal has it all the same')
    }
    if (content.kind === 'run' && isTooLarge(content)) return leaveOut(undefined)
    const body =
      kind === 'run'
        ? journalBytes(await journalOf(content, open))
        : Buffer.from(JSON.stringify(await open(content.output)))
    if (body.length > maxCheckpointBytes) return leaveOut(body.length)
    const command: CheckpointCommand = {
      type: 'CreateCheckpoint',
      data: {
        namespace: '',
        checkpointId,
        kind,
        object: await objects.store(tenant, threadId, body),
        format: 'json',
        label: label.slice(0, 500),
        point,
        ...(parentId !== null && { parentId }),
      },
    }
    await commands.send({
      ...command,
      id: `cmd_checkpoint_${hashJson([tenant, threadId, checkpointId]).slice(0, 32)}`,
      aggregate: aggregateKey('thread', tenant, threadId),
      tenant,
      actor: 'system',
      correlationId: threadId,
    })
    measures.followed(kind)
  }
