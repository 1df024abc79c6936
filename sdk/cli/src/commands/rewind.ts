import type { RecordedSum, RewindPreview, RunDiff } from '@omium/schemas'
import type { Command } from 'commander'
import { clientOf } from '../connection.ts'
import { addEditFlags, addOverrideFlags, type EditFlags, editsOf, type OverrideFlags, overridesOf } from '../edits.ts'
import { RunFailed, UsageError } from '../exit-codes.ts'
import { readJsonArgument } from '../input.ts'
import type { Io } from '../io.ts'
import { money, show, table } from '../output.ts'

interface Flags {
  json?: boolean
}

const sumText = ({ steps, modelCalls, costMicroCredits, durationMs }: RecordedSum): string =>
  `${steps} step(s), ${modelCalls} model call(s), ${money(costMicroCredits)}, ${Math.round(durationMs)} ms`

const previewText = (preview: RewindPreview): string => {
  const lines = [
    `kept       ${sumText(preview.kept)}${preview.toPath === null ? '' : `, up to ${preview.toPath}`}`,
    `runs again ${sumText(preview.again)}`,
  ]
  if (preview.edited.length > 0) lines.push(`edited     ${preview.edited.join(', ')}`)
  if (preview.effects.length > 0) lines.push(`made again ${preview.effects.map(({ path }) => path).join(', ')}`)
  if (preview.children.length > 0) {
    lines.push(`cancelled  ${preview.children.map(({ executionId }) => executionId).join(', ')}`)
  }
  return lines.join('\n')
}

/** `executions rollback` and `executions fork`. */
export const addRewindCommands = (executions: Command, io: Io): void => {
  addOverrideFlags(
    executions
      .command('rollback')
      .description('forget what a run recorded after a step, and go on from there')
      .argument('<id>')
      .option('--to <path>', 'the last result that is kept')
      .option('--start', 'keep nothing that the run itself recorded')
      .option('-r, --reason <text>')
      .option('--dry-run', 'only say what would be kept, run again and cost')
      .option('--json', 'one JSON document'),
  ).action(
    async (
      id: string,
      flags: Flags & OverrideFlags & { to?: string; start?: boolean; reason?: string; dryRun?: boolean },
    ) => {
      if ((flags.to === undefined) === (flags.start === undefined)) throw new UsageError('say one of --to and --start')
      const toPath = flags.to ?? null
      const run = clientOf(io).handle(id)
      if (flags.dryRun) {
        const preview = await run.previewRollBack(toPath)
        show(io, flags.json, preview, () => previewText(preview))
        return
      }
      const overrides = overridesOf(flags)
      const receipt = await run.rollBack(toPath, {
        ...(flags.reason !== undefined && { reason: flags.reason }),
        ...(overrides && { overrides }),
      })
      show(io, flags.json, receipt, () => `${id} is rolled back to ${toPath ?? 'its start'}`)
    },
  )

  addEditFlags(
    executions
      .command('fork')
      .description('a new run that takes over what another has recorded, with changes if wanted')
      .argument('<id>')
      .option('--to <path>', 'the last result that is taken over (default: the last edited one, or all)')
      .option('--start', 'take nothing over')
      .option('-i, --input <json>', 'another input: JSON, @file, or - for standard input')
      .option('--id <id>', 'id of the new run')
      .option('--dry-run', 'only say what would be taken over, run again and cost')
      .option('--json', 'one JSON document'),
  ).action(
    async (
      id: string,
      flags: Flags & EditFlags & { to?: string; start?: boolean; input?: string; id?: string; dryRun?: boolean },
    ) => {
      if (flags.to !== undefined && flags.start) throw new UsageError('say one of --to and --start')
      const options = {
        ...(await editsOf(io, flags)),
        ...(flags.to !== undefined && { toPath: flags.to }),
        ...(flags.start && { toPath: null }),
        ...(flags.input !== undefined && { input: await readJsonArgument(io, flags.input) }),
        ...(flags.id !== undefined && { id: flags.id }),
      }
      const run = clientOf(io).handle(id)
      if (flags.dryRun) {
        const preview = await run.previewFork(options)
        show(io, flags.json, preview, () => previewText(preview))
        return
      }
      const forked = await run.fork(options)
      show(io, flags.json, { id: forked.id, position: forked.position }, () => forked.id)
    },
  )
}

const marks: Readonly<Record<RunDiff['steps'][number]['change'], string>> = {
  same: ' ',
  request: '~',
  result: '!',
  only_a: '-',
  only_b: '+',
}
const signed = (value: number, text: (n: number) => string): string =>
  value === 0 ? '' : `${value > 0 ? '+' : '-'}${text(Math.abs(value))}`
const ms = (value: number): string => `${Math.round(value)} ms`

const diffText = ({ a, b, divergence, downstream, steps, identical }: RunDiff): string => {
  if (identical) return `${a.id} and ${b.id} are the same: ${sumText(a.total)}`
  const rows = steps.map(({ path, kind, change, costDeltaMicroCredits, durationDeltaMs }) => [
    marks[change],
    path,
    kind,
    signed(costDeltaMicroCredits, money),
    signed(durationDeltaMs, ms),
  ])
  const where = divergence?.path === undefined ? 'at their ends' : `at ${divergence.path}`
  return [
    `A ${a.id} (${a.agent}, ${a.status}): ${sumText(a.total)}`,
    `B ${b.id} (${b.agent}, ${b.status}): ${sumText(b.total)}`,
    '',
    `they part ${where}: ${divergence?.cause ?? ''}: ${divergence?.detail ?? ''}`,
    `from there  A ${sumText(downstream.a)}`,
    `            B ${sumText(downstream.b)}`,
    '',
    table(['', 'path', 'kind', 'cost', 'time'], rows),
  ].join('\n')
}

/** `diff`: 0 when the runs are the same, 1 when not. */
export const addDiffCommand = (program: Command, io: Io): void => {
  program
    .command('diff')
    .description('where two runs part, why, and what follows from it')
    .argument('<a>')
    .argument('<b>')
    .option('--outcome-only', 'the runs count as the same when they end in the same way')
    .option('--json', 'one JSON document')
    .action(async (a: string, b: string, { json, outcomeOnly }: Flags & { outcomeOnly?: boolean }) => {
      const diff = await clientOf(io).handle(a).diff(b)
      show(io, json, diff, () => diffText(diff))
      if (outcomeOnly ? !diff.sameOutcome : !diff.identical) throw new RunFailed(`${a} and ${b} differ`)
    })
}
