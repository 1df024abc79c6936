import { executionStatuses } from '@omium/schemas'
import type { ListFilter, Resolution, RunHandle } from '@omium/sdk'
import { type Command, Option } from 'commander'
import { clientOf } from '../connection.ts'
import { Interrupted, UsageError } from '../exit-codes.ts'
import { readJsonArgument, wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { eventLine, executionsTable, executionText, LiveLines, show, stepsTable } from '../output.ts'
import { pick } from '../prompts.ts'
import { addRewindCommands } from './rewind.ts'

interface Flags {
  json?: boolean
}

const handle = (io: Io, id: string): RunHandle<unknown> => clientOf(io).handle<unknown>(id)

/** The approval to decide: the one given, the only one that waits, or the one that a person picks. */
const approvalPath = async (io: Io, run: RunHandle<unknown>, given: string | undefined): Promise<string> => {
  if (given !== undefined) return given
  const waiting = (await run.steps()).filter(({ kind, status }) => kind === 'approval' && status === 'pending')
  const [first] = waiting
  if (!first) throw new UsageError(`${run.id} waits for no approval`)
  if (waiting.length === 1) return first.path
  if (!io.interactive)
    throw new UsageError(
      `${run.id} waits for several approvals, name one: ${waiting.map(({ path }) => path).join(', ')}`,
    )
  const options = waiting.map(({ path, name, input }) => ({
    value: path,
    label: name,
    hint: input === undefined ? path : JSON.stringify(input).slice(0, 80),
  }))
  return pick('Which approval?', options)
}

type Labels = Readonly<Record<string, string>>
const collectLabels = (given: string, all: Labels = {}): Labels => {
  const at = given.indexOf('=')
  if (at < 1) throw new UsageError(`--label is <name>=<value>, not ${given}`)
  return { ...all, [given.slice(0, at)]: given.slice(at + 1) }
}

const addReaders = (executions: Command, io: Io): void => {
  executions
    .command('ls')
    .description('list runs, newest first')
    .addOption(new Option('--status <status>').choices(executionStatuses))
    .option('--agent <id>')
    .option('--parent <id>', 'children of this run')
    .option('--forked-from <id>', 'forks of this run')
    .option('-l, --label <name=value>', 'may be given several times', collectLabels)
    .option('-n, --limit <count>', 'how many', wholeNumber('--limit', 1, 100_000), 50)
    .option('--json', 'one JSON object per line')
    .action(async ({ limit, json, label, ...filter }: Flags & ListFilter & { limit: number; label?: Labels }) => {
      const items = []
      const pageSize = Math.min(200, limit)
      for await (const run of clientOf(io).list({ ...filter, ...(label && { labels: label }), pageSize })) {
        if (json) io.out(JSON.stringify(run))
        items.push(run)
        if (items.length >= limit) break
      }
      if (!json) io.out(items.length === 0 ? 'no runs' : executionsTable(items))
    })

  executions
    .command('show')
    .description('a run with its steps')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const run = handle(io, id)
      const [execution, steps] = await Promise.all([run.get(), run.steps()])
      show(io, json, { ...execution, steps }, () =>
        [executionText(execution), ...(steps.length > 0 ? ['', stepsTable(steps)] : [])].join('\n'),
      )
    })

  executions
    .command('tail')
    .description("a run's events: history, then live with what its steps put out, until its end")
    .argument('<id>')
    .option('--after <version>', 'only later events', wholeNumber('--after', 0, Number.MAX_SAFE_INTEGER))
    .option('--json', 'one JSON object per line')
    .action(async (id: string, { after, json }: Flags & { after?: number }) => {
      const options = { signal: io.interrupted, ...(after !== undefined && { after }) }
      const run = handle(io, id)
      if (json) for await (const event of run.events(options)) io.out(JSON.stringify(event))
      else {
        const live = new LiveLines((line) => io.out(line))
        for await (const event of run.events({ ...options, deltas: true })) {
          if ('text' in event) live.add(event.path, event.text)
          else {
            live.flush()
            io.out(eventLine(event))
          }
        }
      }
      if (io.interrupted.aborted) throw new Interrupted(`${id} goes on`)
    })
}

const addWriters = (executions: Command, io: Io): void => {
  const accepted = (json: boolean | undefined, receipt: object, text: string) => show(io, json, receipt, () => text)

  executions
    .command('signal')
    .description('send a signal')
    .argument('<id>')
    .argument('<name>')
    .option('-p, --payload <json>', 'JSON, @file, or - for standard input')
    .option('--id <id>', 'sending twice with one id counts once')
    .option('--json', 'one JSON document')
    .action(async (id: string, name: string, flags: Flags & { payload?: string; id?: string }) => {
      const payload = flags.payload === undefined ? null : await readJsonArgument(io, flags.payload)
      const receipt = await handle(io, id).signal(name, payload, flags.id === undefined ? {} : { id: flags.id })
      accepted(flags.json, receipt, `${id} has the signal ${name}`)
    })

  executions
    .command('approve')
    .description('decide an approval that a run waits for')
    .argument('<id>')
    .argument('[path]', 'of the approval; may be left out when there is one')
    .option('--reject', 'refuse it')
    .option('-c, --comment <text>')
    .option('--json', 'one JSON document')
    .action(async (id: string, given: string | undefined, flags: Flags & { reject?: boolean; comment?: string }) => {
      const run = handle(io, id)
      const path = await approvalPath(io, run, given)
      const receipt = await run.approve(path, flags.reject ? 'rejected' : 'approved', flags.comment)
      accepted(flags.json, receipt, `${path} of ${id} is ${flags.reject ? 'rejected' : 'approved'}`)
    })

  for (const [verb, done, description] of [
    ['pause', 'paused', 'let a run stand still after the steps that it is at'],
    ['cancel', 'cancelled', 'end a run; what it did stays done'],
  ] as const)
    executions
      .command(verb)
      .description(description)
      .argument('<id>')
      .option('-r, --reason <text>')
      .option('--json', 'one JSON document')
      .action(async (id: string, flags: Flags & { reason?: string }) =>
        accepted(flags.json, await handle(io, id)[verb](flags.reason), `${id} is ${done}`),
      )

  executions
    .command('resume')
    .description('let a paused run go on')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, flags: Flags) => accepted(flags.json, await handle(io, id).resume(), `${id} is resumed`))

  executions
    .command('resolve')
    .description('settle a step whose outcome is unknown')
    .argument('<id>')
    .argument('<path>', 'of the step')
    .option('--completed <json>', 'it happened, with this output: JSON, @file, or -')
    .option('--failed <text>', 'it did not happen, and is not to')
    .option('--retry', 'it did not happen: try it again')
    .option('-c, --comment <text>')
    .option('--json', 'one JSON document')
    .action(async (id: string, path: string, flags: Flags & ResolveFlags) => {
      const resolution = await resolutionOf(io, flags)
      accepted(flags.json, await handle(io, id).resolve(path, resolution, flags.comment), `${path} of ${id} is settled`)
    })
}

interface ResolveFlags {
  completed?: string
  failed?: string
  retry?: boolean
  comment?: string
}

const resolutionOf = async (io: Io, { completed, failed, retry }: ResolveFlags): Promise<Resolution> => {
  if ([completed, failed, retry].filter((flag) => flag !== undefined).length !== 1)
    throw new UsageError('say one of --completed, --failed and --retry')
  if (completed !== undefined) return { status: 'completed', output: await readJsonArgument(io, completed) }
  return failed !== undefined ? { status: 'failed', detail: failed } : { status: 'retry' }
}

export const addExecutionsCommand = (program: Command, io: Io): void => {
  const executions = program.command('executions').alias('x').description('look at runs and steer them')
  addReaders(executions, io)
  addWriters(executions, io)
  addRewindCommands(executions, io)
}
