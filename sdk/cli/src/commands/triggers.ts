import type { Triggers } from '@omium/sdk'
import type { Command } from 'commander'
import { clientOf } from '../connection.ts'
import { readJsonArgument } from '../input.ts'
import type { Io } from '../io.ts'
import { printList } from '../lists.ts'
import { show } from '../output.ts'
import { addSteering } from './workflows.ts'

interface Flags {
  json?: boolean
}

/** What makes workflows run. */
export const addTriggersCommand = (program: Command, io: Io): void => {
  const triggers = program
    .command('triggers')
    .description('what makes workflows run: webhooks, topics, other workflows')

  triggers
    .command('ls')
    .description('all of them')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).triggers.list(),
        ['id', 'workflow', 'source', 'status', 'fired', 'ignored', 'last'],
        (one) => [
          one.id,
          one.workflow,
          one.source.topic ?? one.source.workflow ?? one.source.type,
          one.status,
          String(one.fired),
          String(one.ignored),
          one.lastFiredAt ?? '',
        ],
      )
    })

  triggers
    .command('show')
    .description('one of them')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const trigger = await clientOf(io).triggers.get(id)
      show(io, json, trigger, () => JSON.stringify(trigger, null, 2))
    })

  triggers
    .command('put')
    .description('create or change a trigger')
    .argument('<id>')
    .argument('<trigger>', 'JSON, @file, or -: {"workflow": "...", "source": {"type": "webhook"}}')
    .option('--json', 'one JSON document')
    .action(async (id: string, given: string, { json }: Flags) => {
      const body = (await readJsonArgument(io, given)) as Parameters<Triggers['put']>[1]
      const receipt = await clientOf(io).triggers.put(id, body)
      show(io, json, receipt, () =>
        [
          `${id} is there`,
          ...(receipt.url ? [`url     ${receipt.url}`] : []),
          ...(receipt.secret ? [`secret  ${receipt.secret} (told this once)`] : []),
        ].join('\n'),
      )
    })

  addSteering(triggers, io, () => clientOf(io).triggers)
}
