import type { ExecutionView } from '@omium/schemas'
import type { Command } from 'commander'
import { clientOf, platformEnvironment } from '../connection.ts'
import { RunFailed } from '../exit-codes.ts'
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

export const addReplayCommand = (program: Command, io: Io): void => {
  program
    .command('replay')
    .description('fold a run anew from the log and say whether code, history and read model agree')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: { json?: boolean }) => {
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
    })
}
