import { type ReplayReport, terminalStatuses } from '@omium/schemas'
import type { ReplayRequest } from '@omium/sdk'
import { type Command, Option } from 'commander'
import { clientOf } from '../connection.ts'
import { addOverrideFlags, type EditFlags, editsOf } from '../edits.ts'
import { Interrupted, UsageError } from '../exit-codes.ts'
import { readLines, wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { money, show, table } from '../output.ts'

interface CreateFlags extends EditFlags {
  agent?: string
  last: number
  status: 'completed' | 'failed' | 'cancelled'
  ids?: string
  toAgent?: string
  fromStep?: number
  from?: string
  budget?: number
  budgetPerRun?: number
  id?: string
  wait?: boolean
  json?: boolean
}

const runsOf = async (io: Io, { agent, last, status, ids }: CreateFlags): Promise<ReplayRequest['runs']> => {
  if ((agent === undefined) === (ids === undefined)) throw new UsageError('say one of --agent and --ids')
  return ids === undefined ? { agent: agent as string, last, status } : { ids: await readLines(io, ids) }
}

const budgetOf = ({ budget, budgetPerRun }: CreateFlags): ReplayRequest['budget'] =>
  budget === undefined && budgetPerRun === undefined
    ? undefined
    : {
        ...(budget !== undefined && { totalMicroCredits: budget }),
        ...(budgetPerRun !== undefined && { perRunMicroCredits: budgetPerRun }),
      }

const signed = (value: number, text: (n: number) => string): string =>
  `${value < 0 ? '-' : '+'}${text(Math.abs(value))}`
const ms = (value: number): string => `${Math.round(value)} ms`

const reportText = ({ id, runs, outcomes, total }: ReplayReport): string => {
  const counted = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`)
  const rows = runs.map((run) => [
    run.of,
    run.executionId,
    run.error ? `${run.outcome}: ${run.error.code}` : run.outcome,
    signed(run.costMicroCredits.delta, money),
    signed(run.modelMs.delta, ms),
  ])
  return [
    `${id}: ${counted.join(', ')}`,
    `cost ${money(total.costMicroCredits.was)} -> ${money(total.costMicroCredits.is)} (${signed(total.costMicroCredits.delta, money)}), model time ${signed(total.modelMs.delta, ms)}, ${total.modelCalls.is} model call(s)`,
    '',
    table(['of', 'run', 'outcome', 'cost', 'model time'], rows),
  ].join('\n')
}

const pollMs = 500

/** Sets of past runs, run once more with another model, prompt or agent. */
export const addReplaysCommand = (program: Command, io: Io): void => {
  const replays = program.command('replays').description('run sets of past runs once more, otherwise')
  addOverrideFlags(
    replays
      .command('create')
      .description('replay past runs: model calls are made, everything else is answered from what was recorded')
      .option('--agent <id>', 'the last runs of this agent')
      .option('--last <count>', 'how many', wholeNumber('--last', 1, 200), 50)
      .addOption(new Option('--status <status>', 'of those runs').choices(terminalStatuses).default('completed'))
      .option('--ids <file>', 'these runs: one id a line, or - for standard input')
      .option('--from-step <count>', 'keep so many results', wholeNumber('--from-step', 0, 1e9))
      .option('--from <path>', 'run anew from this step on')
      .option('--to-agent <id>', 'another agent, e.g. the next version of this one')
      .option('--budget <microcredits>', 'for all together', wholeNumber('--budget', 1, Number.MAX_SAFE_INTEGER))
      .option(
        '--budget-per-run <microcredits>',
        'for each',
        wholeNumber('--budget-per-run', 1, Number.MAX_SAFE_INTEGER),
      )
      .option('--id <id>', 'sending twice with one id counts once')
      .option('--wait', 'until all have ended, then show the report')
      .option('--json', 'one JSON document'),
  ).action(async (flags: CreateFlags) => {
    if (flags.from !== undefined && flags.fromStep !== undefined)
      throw new UsageError('say one of --from and --from-step')
    const { replays: api } = clientOf(io)
    const budget = budgetOf(flags)
    const receipt = await api.create({
      ...(flags.id !== undefined && { id: flags.id }),
      runs: await runsOf(io, flags),
      ...(flags.from !== undefined && { from: { path: flags.from } }),
      ...(flags.fromStep !== undefined && { from: { step: flags.fromStep } }),
      ...(budget && { budget }),
      ...(await editsOf(io, { ...flags, agent: flags.toAgent } as EditFlags)),
    })
    for (const { of, error } of receipt.refused) io.err(`${of}: ${error.code}: ${error.detail}`)
    if (!flags.wait || receipt.started.length === 0) {
      show(io, flags.json, receipt, () => `${receipt.id}: ${receipt.started.length} run(s) started`)
      return
    }
    for (;;) {
      const report = await api.report(receipt.id)
      if (report.runs.length >= receipt.started.length && !report.outcomes['running']) {
        show(io, flags.json, report, () => reportText(report))
        return
      }
      if (io.interrupted.aborted) throw new Interrupted(`${receipt.id} goes on`)
      await new Promise((resolve) => setTimeout(resolve, pollMs))
    }
  })

  replays
    .command('show')
    .description('how the runs of a replay compare with those of the past')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const report = await clientOf(io).replays.report(id)
      show(io, json, report, () => reportText(report))
    })
}
