import type { ExecutionView } from '@omium/schemas'
import { type RecordedRun, recordedRun, replayRuns, type Verdict, verdicts } from '@omium/sdk/hermetic'
import { type Command, Option } from 'commander'
import { clientOf, platformEnvironment } from '../connection.ts'
import { exitCodes, ReplayFailed, RunFailed, UsageError } from '../exit-codes.ts'
import { readLines, wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { show, table } from '../output.ts'
import { loadPlatform } from '../platform.ts'

/** What `@omium/execution-engine` does for the CLI: re-folds a run's events from the log, by acceptance rule and domain. */
interface Replayer {
  replayExecution(options: {
    env: Record<string, string | undefined>
    executionId: string
    /** what the read model says, to compare with up to its own position */
    readModel: ExecutionView
  }): Promise<ReplayReport>
}
interface ReplayReport {
  agrees: boolean
  /** accepted and rejected records of this run */
  accepted: number
  rejected: number
  differences: { field: string; log: unknown; readModel: unknown }[]
}

interface Flags {
  code?: string[]
  agent?: string
  last: number
  status: 'completed' | 'failed' | 'cancelled'
  ids?: string
  json?: boolean
}

/** Folds a run anew from the log. */
const refold = async (io: Io, id: string, json: boolean | undefined): Promise<void> => {
  const { replayExecution } = await loadPlatform<Replayer>('@omium/execution-engine', ['replayExecution'])
  const readModel = await clientOf(io).get(id)
  const report = await replayExecution({ env: platformEnvironment(io), executionId: id, readModel })
  show(io, json, report, () => {
    const counts = `${report.accepted} events accepted, ${report.rejected} rejected`
    if (report.agrees) return `${id}: code and history agree (${counts})`
    const rows = report.differences.map(({ field, log, readModel: shown }) => [
      field,
      JSON.stringify(log) ?? '',
      JSON.stringify(shown) ?? '',
    ])
    return `${id}: code and history differ (${counts})\n\n${table(['field', 'log', 'read model'], rows)}`
  })
  if (!report.agrees) throw new RunFailed(`${id} folds to something else than the read model shows`)
}

async function* idsOf(io: Io, given: readonly string[], { agent, last, status, ids }: Flags): AsyncGenerator<string> {
  yield* given
  if (ids !== undefined) yield* await readLines(io, ids)
  if (agent === undefined) return
  let count = 0
  for await (const { id } of clientOf(io).list({ agent, status, pageSize: Math.min(200, last) })) {
    yield id
    count += 1
    if (count >= last) return
  }
}

/** The worst of all verdicts decides; what could not be replayed is worse than what differs. */
const exitCodeFor = (counts: Readonly<Record<Verdict['verdict'], number>>): number => {
  if (counts.error > 0) return exitCodes.refused
  if (counts.miss > 0) return exitCodes.replayMiss
  if (counts.mismatch > 0) return exitCodes.replayMismatch
  return counts.different > 0 ? exitCodes.failed : exitCodes.ok
}

/** Runs recorded runs against today's code, without a network. */
const replayCode = async (
  io: Io,
  given: readonly string[],
  modules: readonly string[],
  flags: Flags,
): Promise<void> => {
  const client = clientOf(io)
  const runs = async function* (): AsyncGenerator<RecordedRun> {
    for await (const id of idsOf(io, given, flags)) yield await recordedRun(client, id)
  }
  const counts = Object.fromEntries(verdicts.map((verdict) => [verdict, 0])) as Record<Verdict['verdict'], number>
  let total = 0
  for await (const verdict of replayRuns({ modules, folder: io.cwd }, runs())) {
    counts[verdict.verdict] += 1
    total += 1
    const { id, verdict: word, path, detail } = verdict
    const where = path === undefined ? '' : ` at ${path}`
    io.out(
      flags.json ? JSON.stringify(verdict) : `${word.padEnd(9)} ${id}${where}${word === 'same' ? '' : `: ${detail}`}`,
    )
  }
  if (total === 0) throw new UsageError('there is no such run to replay')
  const exitCode = exitCodeFor(counts)
  if (exitCode !== exitCodes.ok) {
    throw new ReplayFailed(`${total - counts.same} of ${total} run(s) do not replay as they were recorded`, exitCode)
  }
}

export const addReplayCommand = (program: Command, io: Io): void => {
  program
    .command('replay')
    .description(
      "run recorded runs against today's code, without a network (--code); without code: fold a run anew from the log and say whether history and read model agree",
    )
    .argument('[ids...]')
    .option('-c, --code <modules...>', 'modules that export the agents')
    .option('--agent <id>', 'the last runs of this agent')
    .option('--last <count>', 'how many', wholeNumber('--last', 1, 10_000), 50)
    .addOption(
      new Option('--status <status>', 'of those runs')
        .choices(['completed', 'failed', 'cancelled'])
        .default('completed'),
    )
    .option('--ids <file>', 'these runs: one id a line, or - for standard input')
    .option('--json', 'one JSON document for each run')
    .action(async (ids: string[], flags: Flags) => {
      if (flags.code) {
        await replayCode(io, ids, flags.code, flags)
        return
      }
      const [id] = ids
      if (id === undefined || ids.length > 1 || flags.agent !== undefined || flags.ids !== undefined) {
        throw new UsageError('name one run; several are replayed with --code')
      }
      await refold(io, id, flags.json)
    })
}
