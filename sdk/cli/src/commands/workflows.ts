import type { JsonValue, WorkflowProblem } from '@omium/schemas'
import type { Command } from 'commander'
import { clientOf } from '../connection.ts'
import { RunFailed, UsageError } from '../exit-codes.ts'
import { readJsonArgument, wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { printList } from '../lists.ts'
import { show, table } from '../output.ts'
import { waitFor } from './run.ts'

interface Flags {
  json?: boolean
}

const problemLine = ({ severity, pointer, message, expected, suggestion }: WorkflowProblem): string =>
  [`${severity} ${pointer || '/'}: ${message}`, expected && `expected ${expected}`, suggestion]
    .filter(Boolean)
    .join('; ')

const addReaders = (workflows: Command, io: Io): void => {
  workflows
    .command('ls')
    .description('list workflows')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).workflows.list(),
        ['id', 'name', 'published', 'latest', 'active runs', 'updated'],
        ({ id, name, publishedVersion, latestVersion, activeRuns, updatedAt }) => [
          id,
          name,
          String(publishedVersion ?? '-'),
          String(latestVersion),
          String(activeRuns),
          updatedAt,
        ],
        'no workflows: omium workflows templates shows some to start from',
      )
    })

  workflows
    .command('show')
    .description('show a workflow and its versions, or one version with its definition')
    .argument('<id>')
    .argument('[version]', 'number of a version')
    .option('--json', 'one JSON document')
    .action(async (id: string, given: string | undefined, { json }: Flags) => {
      const client = clientOf(io)
      if (given !== undefined) {
        const version = await client.workflows.version(id, wholeNumber('version', 1, Number.MAX_SAFE_INTEGER)(given))
        show(io, json, version, () => JSON.stringify(version.definition, null, 2))
        return
      }
      const detail = await client.workflows.get(id)
      show(io, json, detail, () =>
        [
          `${detail.id}  ${detail.name}`,
          table(
            ['version', 'status', 'created', 'by'],
            detail.versions.map(({ version, status, createdAt, createdBy }) => [
              String(version),
              status,
              createdAt,
              createdBy,
            ]),
          ),
        ].join('\n'),
      )
    })

  workflows
    .command('validate')
    .description('say everything that is wrong with a definition')
    .argument('<definition>', 'JSON, @file, or - for standard input')
    .option('--json', 'one JSON document')
    .action(async (given: string, { json }: Flags) => {
      const report = await clientOf(io).workflows.validate(await readJsonArgument(io, given))
      show(io, json, report, () =>
        [...report.problems.map(problemLine), report.valid ? 'valid' : 'not valid'].join('\n'),
      )
      if (!report.valid) throw new RunFailed(`${report.problems.length} problem(s)`)
    })

  workflows
    .command('runs')
    .description('runs of a workflow, newest first')
    .argument('<id>')
    .option('--json', 'one JSON object per line')
    .action(async (id: string, { json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).workflows.runs(id),
        ['id', 'version', 'source', 'status', 'requested', 'ended'],
        (run) => [run.id, String(run.version), run.source.type, run.status, run.requestedAt, run.endedAt ?? ''],
      )
    })

  workflows
    .command('templates')
    .description('definitions to start from')
    .argument('[id]', 'print the definition of this one')
    .option('--json', 'one JSON document')
    .action(async (id: string | undefined, { json }: Flags) => {
      const templates = await clientOf(io).workflows.templates()
      if (id === undefined) {
        const rows = templates.map((template) => [template.id, template.name, template.description])
        show(io, json, templates, () => table(['id', 'name', 'description'], rows))
        return
      }
      const template = templates.find((one) => one.id === id)
      if (!template) throw new UsageError(`there is no template ${id}: ${templates.map((one) => one.id).join(', ')}`)
      io.out(JSON.stringify(template.definition, null, 2))
    })
}

const definitionOf = async (io: Io, given: string | undefined, template: string | undefined): Promise<JsonValue> => {
  if ((given === undefined) === (template === undefined))
    throw new UsageError('give a definition, or --template with the id of one')
  if (given !== undefined) return readJsonArgument(io, given)
  const templates = await clientOf(io).workflows.templates()
  const found = templates.find(({ id }) => id === template)
  if (!found) throw new UsageError(`there is no template ${template}: ${templates.map(({ id }) => id).join(', ')}`)
  return found.definition
}

const addWriters = (workflows: Command, io: Io): void => {
  workflows
    .command('create')
    .description('create a workflow, or another version of it')
    .argument('<id>')
    .argument('[definition]', 'JSON, @file, or - for standard input')
    .option('--template <id>', 'start from a template instead')
    .option('--publish', 'publish it at once')
    .option('--json', 'one JSON document')
    .action(
      async (
        id: string,
        given: string | undefined,
        { template, publish = false, json }: Flags & { template?: string; publish?: boolean },
      ) => {
        const definition = await definitionOf(io, given, template)
        const receipt = await clientOf(io).workflows.create(id, definition, { publish })
        const what = receipt.deduplicated ? 'had been created before' : publish ? 'is published' : 'is a draft'
        show(io, json, receipt, () => `version ${receipt.version} of ${id} ${what}`)
      },
    )

  for (const [verb, done, description] of [
    ['publish', 'published', 'let new runs use a version'],
    ['deprecate', 'deprecated', 'let no new run use a version; those that run go on'],
  ] as const)
    workflows
      .command(verb)
      .description(description)
      .argument('<id>')
      .argument('<version>')
      .option('--json', 'one JSON document')
      .action(async (id: string, given: string, { json }: Flags) => {
        const version = wholeNumber('version', 1, Number.MAX_SAFE_INTEGER)(given)
        const receipt = await clientOf(io).workflows[verb](id, version)
        show(io, json, receipt, () => `version ${version} of ${id} is ${done}`)
      })

  workflows
    .command('rm')
    .description('delete a workflow: no new runs, those that run go on')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const receipt = await clientOf(io).workflows.delete(id)
      show(io, json, receipt, () => `${id} is deleted`)
    })

  workflows
    .command('run')
    .description('run a workflow')
    .argument('<id>')
    .option('-p, --parameters <json>', 'JSON, @file, or - for standard input')
    .option('--id <id>', 'running twice with one id and equal parameters gives one run')
    .option(
      '--workflow-version <n>',
      'instead of the newest published one',
      wholeNumber('--workflow-version', 1, 1_000_000),
    )
    .option('--detach', 'print the id and leave')
    .option('--json', 'print the run as one JSON document')
    .action(
      async (
        id: string,
        flags: Flags & { parameters?: string; id?: string; workflowVersion?: number; detach?: boolean },
      ) => {
        const parameters = flags.parameters === undefined ? {} : await readJsonArgument(io, flags.parameters)
        const run = await clientOf(io).workflows.run(id, parameters, {
          ...(flags.id !== undefined && { id: flags.id }),
          ...(flags.workflowVersion !== undefined && { version: flags.workflowVersion }),
        })
        if (flags.detach) {
          show(io, flags.json, { id: run.id, position: run.position, created: run.created }, () => run.id)
          return
        }
        if (!flags.json) io.err(run.id)
        await waitFor(io, run, flags)
      },
    )
}

export const addWorkflowsCommand = (program: Command, io: Io): void => {
  const workflows = program.command('workflows').alias('wf').description('workflow definitions and their runs')
  addReaders(workflows, io)
  addWriters(workflows, io)
}

/** pause, resume and rm, which schedules and triggers have in common. */
export const addSteering = (
  parent: Command,
  io: Io,
  target: () => Record<'pause' | 'resume' | 'delete', (id: string) => Promise<unknown>>,
): void => {
  for (const [verb, method, done, description] of [
    ['pause', 'pause', 'paused', 'start nothing until it is resumed'],
    ['resume', 'resume', 'resumed', 'go on after a pause'],
    ['rm', 'delete', 'deleted', 'delete one; what it has started goes on'],
  ] as const)
    parent
      .command(verb)
      .description(description)
      .argument('<id>')
      .option('--json', 'one JSON document')
      .action(async (id: string, { json }: Flags) => {
        const receipt = await target()[method](id)
        show(io, json, receipt, () => `${id} is ${done}`)
      })
}
