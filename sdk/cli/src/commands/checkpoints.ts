import type { CheckpointView } from '@omium/schemas'
import { type Command, Option } from 'commander'
import { clientOf } from '../connection.ts'
import { RunFailed, UsageError } from '../exit-codes.ts'
import { wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { checkpointsTable, checkpointText, show } from '../output.ts'

interface Flags {
  json?: boolean
  namespace?: string
}

const inNamespace = ({ namespace }: Flags) => (namespace === undefined ? {} : { namespace })

/** `omium checkpoints`: states of runs and threads. */
export const addCheckpointsCommand = (program: Command, io: Io): void => {
  const checkpoints = program.command('checkpoints').description('look at stored states, and go back to one')

  checkpoints
    .command('ls')
    .description("list checkpoints, newest first; a run's own are in the thread with its id")
    .argument('[thread]')
    .option('--namespace <text>')
    .addOption(new Option('--kind <kind>').choices(['state', 'run']))
    .option('-n, --limit <count>', 'how many', wholeNumber('--limit', 1, 100_000), 50)
    .option('--json', 'one JSON object per line')
    .action(async (thread: string | undefined, flags: Flags & { kind?: 'state' | 'run'; limit: number }) => {
      const { json, limit, kind } = flags
      const filter = { ...inNamespace(flags), ...(thread !== undefined && { thread }), ...(kind && { kind }) }
      const items: CheckpointView[] = []
      for await (const one of clientOf(io).checkpoints.list({ ...filter, pageSize: Math.min(200, limit) })) {
        if (json) io.out(JSON.stringify(one))
        items.push(one)
        if (items.length >= limit) break
      }
      if (!json) io.out(items.length === 0 ? 'no checkpoints' : checkpointsTable(items))
    })

  checkpoints
    .command('show')
    .description('a checkpoint with its state')
    .argument('<thread>')
    .argument('[id]', 'of the checkpoint', 'latest')
    .option('--namespace <text>')
    .option('--json', 'one JSON document')
    .action(async (thread: string, id: string, flags: Flags) => {
      const checkpoint = await clientOf(io).checkpoints.get(thread, id, inNamespace(flags))
      show(io, flags.json, checkpoint, () => checkpointText(checkpoint))
    })

  checkpoints
    .command('verify')
    .description(
      'read what is stored and compare it with its checksum; what a run recorded is made again where it is lost',
    )
    .argument('<thread>')
    .argument('[id]', 'of the checkpoint; without it all of the thread')
    .option('--namespace <text>')
    .option('--json', 'one JSON object per line')
    .action(async (thread: string, id: string | undefined, flags: Flags) => {
      const client = clientOf(io).checkpoints
      const which: { id: string; namespace: string }[] = []
      if (id !== undefined) which.push({ id, namespace: flags.namespace ?? '' })
      else for await (const one of client.list({ thread, ...inNamespace(flags) })) which.push(one)
      let damaged = 0
      for (const { id: one, namespace } of which) {
        const verdict = await client.verify(thread, one, { namespace })
        const { intact, found, rebuilt } = verdict
        if (!intact && !rebuilt) damaged++
        const how = intact ? 'intact' : rebuilt ? `was ${found}, made again from the log` : `${found}`
        show(io, flags.json, { thread, id: one, namespace, ...verdict }, () => `${one}  ${how}`)
      }
      if (damaged > 0) throw new RunFailed(`${damaged} of ${which.length} checkpoint(s) of ${thread} cannot be read`)
    })

  checkpoints
    .command('rollback')
    .description('go back: a run goes on from there, and newer checkpoints are superseded')
    .argument('<thread>')
    .argument('<id>', 'of the checkpoint')
    .option('--namespace <text>')
    .option('-r, --reason <text>')
    .option('--json', 'one JSON document')
    .action(async (thread: string, id: string, flags: Flags & { reason?: string }) => {
      if (id === 'latest') throw new UsageError('name the checkpoint to go back to')
      const options = { ...inNamespace(flags), ...(flags.reason !== undefined && { reason: flags.reason }) }
      const reply = await clientOf(io).checkpoints.rollback(thread, id, options)
      show(io, flags.json, reply, () => `${reply.execution ?? thread} is back at ${id}`)
    })
}
