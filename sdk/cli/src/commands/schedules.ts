import { type Command, Option } from 'commander'
import { clientOf } from '../connection.ts'
import { readJsonArgument, wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { printList } from '../lists.ts'
import { show } from '../output.ts'
import { addSteering } from './workflows.ts'

interface Flags {
  json?: boolean
}

interface PutFlags extends Flags {
  timezone: string
  parameters?: string
  overlap: 'skip' | 'queue' | 'cancel_previous' | 'allow'
  catchUp: 'none' | 'last' | 'all'
  workflowVersion?: number
}

/** When workflows run by themselves. */
export const addSchedulesCommand = (program: Command, io: Io): void => {
  const schedules = program.command('schedules').description('when workflows run by themselves')

  schedules
    .command('ls')
    .description('all of them, and when they are due')
    .option('--workflow <id>', 'of this workflow')
    .option('--json', 'one JSON object per line')
    .action(async ({ json, workflow }: Flags & { workflow?: string }) => {
      await printList(
        io,
        json,
        clientOf(io).schedules.list(workflow),
        ['id', 'workflow', 'cron', 'timezone', 'status', 'next', 'fired', 'skipped'],
        (one) => [
          one.id,
          one.workflow,
          one.cron,
          one.timezone,
          one.status,
          one.nextAt ?? '-',
          String(one.fired),
          String(one.skipped),
        ],
      )
    })

  schedules
    .command('show')
    .description('one of them')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const schedule = await clientOf(io).schedules.get(id)
      show(io, json, schedule, () => JSON.stringify(schedule, null, 2))
    })

  schedules
    .command('put')
    .description('create or change a schedule')
    .argument('<id>')
    .argument('<workflow>')
    .argument('<cron>', 'minute hour day month weekday; a sixth field in front is seconds')
    .option('-z, --timezone <zone>', 'IANA time zone', 'UTC')
    .option('-p, --parameters <json>', 'JSON, @file, or - for standard input')
    .addOption(
      new Option('--overlap <policy>', 'when the last run has not ended')
        .choices(['skip', 'queue', 'cancel_previous', 'allow'])
        .default('skip'),
    )
    .addOption(
      new Option('--catch-up <policy>', 'moments that passed unnoticed')
        .choices(['none', 'last', 'all'])
        .default('none'),
    )
    .option(
      '--workflow-version <n>',
      'instead of the newest published one',
      wholeNumber('--workflow-version', 1, 1_000_000),
    )
    .option('--json', 'one JSON document')
    .action(async (id: string, workflow: string, cron: string, flags: PutFlags) => {
      const receipt = await clientOf(io).schedules.put(id, {
        workflow,
        cron,
        timezone: flags.timezone,
        parameters: flags.parameters === undefined ? {} : await readJsonArgument(io, flags.parameters),
        overlap: flags.overlap,
        catchUp: { policy: flags.catchUp },
        ...(flags.workflowVersion !== undefined && { version: flags.workflowVersion }),
      })
      show(io, flags.json, receipt, () => `${id} runs ${workflow}: ${cron} (${flags.timezone})`)
    })

  schedules
    .command('firings')
    .description('what became of its moments, newest first')
    .argument('<id>')
    .option('--json', 'one JSON object per line')
    .action(async (id: string, { json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).schedules.firings(id),
        ['moment', 'outcome', 'reason', 'count', 'run', 'ended'],
        (one) => [
          one.nominalAt,
          one.outcome,
          one.reason ?? '',
          String(one.count),
          one.runId ?? '',
          one.end?.status ?? '',
        ],
      )
    })

  addSteering(schedules, io, () => clientOf(io).schedules)
}
