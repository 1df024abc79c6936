import { stepsPerWorkflow } from './agents.ts'
import type { Flags } from './flags.ts'
import { type LoadRow, runLoad } from './load.ts'
import { type ProjectionLag, projectionLag, residentMiB } from './measures.ts'
import { installPeers, measurePeer, type PeerResult } from './peers.ts'
import { type BenchStack, startBenchStack, startBenchWorker } from './stack.ts'
import { viaGateway, viaLog } from './starters.ts'
import { table } from './table.ts'

interface OmiumRow extends LoadRow {
  readonly mode: 'default' | 'fsync'
  readonly lag: ProjectionLag
  readonly rssMiB: Readonly<Record<string, number>>
}

export interface EngineResult {
  readonly via: Flags['via']
  readonly omium: readonly OmiumRow[]
  readonly peers: readonly PeerResult[]
}

/** Ten-step workflows through the whole path, in both durability modes, and the peers beside them on the same PostgreSQL. */
export const benchEngine = async (flags: Flags, say: (line: string) => void): Promise<EngineResult> => {
  if (flags.peers) await installPeers(say)
  const omium: OmiumRow[] = []
  const peers: PeerResult[] = []
  for (const mode of flags.fsync ? (['fsync'] as const) : (['default', 'fsync'] as const)) {
    const stack = await startBenchStack({
      fsync: mode === 'fsync',
      services: 'platform',
      partitions: flags.partitions,
      say,
    })
    try {
      omium.push(...(await measureOmium(stack, mode, flags, say)))
      // beside the fsync rows: that is what the peers do
      if (flags.peers && mode === 'fsync')
        for (const program of ['dbos', 'restate'] as const)
          peers.push(await measurePeer(program, flags, stack.environment['OMIUM_DATABASE_URL'] ?? '', say))
    } finally {
      await stack.stop()
    }
  }
  return { via: flags.via, omium, peers }
}

const measureOmium = async (
  stack: BenchStack,
  mode: OmiumRow['mode'],
  flags: Flags,
  say: (line: string) => void,
): Promise<OmiumRow[]> => {
  const worker = await startBenchWorker(stack, 'worker')
  const starter = flags.via === 'log' ? await viaLog(stack) : viaGateway(stack)
  const rows: OmiumRow[] = []
  try {
    for (const concurrency of flags.concurrency) {
      const { warmupMs, measureMs } = flags
      const row = await runLoad({ concurrency, stepsPerWorkflow, warmupMs, measureMs, runWorkflow: starter.run })
      const rssMiB = residentMiB(new Map([...stack.pids(), ['worker', worker.pid], ['client', process.pid]]))
      const lag = await projectionLag(stack)
      rows.push({ ...row, mode, lag, rssMiB })
      say(`Omium (${mode}): ${concurrency} at a time: ${row.stepsPerSecond} steps/s, p50 ${row.p50Ms} ms`)
    }
  } finally {
    await starter.close()
  }
  await worker.stop()
  return rows
}

export const engineText = ({ via, omium, peers }: EngineResult): string => {
  const reference = omium.filter((row) => row.mode === 'fsync')
  const ratio = (row: LoadRow): string => {
    const mine = reference.find((one) => one.concurrency === row.concurrency)
    return mine ? `${(mine.stepsPerSecond / row.stepsPerSecond).toFixed(2)}x` : '-'
  }
  const figures = (row: LoadRow) => ({
    'at a time': row.concurrency,
    workflows: row.workflows,
    'steps/s': row.stepsPerSecond,
    'p50 ms': row.p50Ms,
    'p99 ms': row.p99Ms,
  })
  const lines = [
    `ten-step workflows, started ${via === 'log' ? 'by commands on the log' : 'over HTTP through the gateway'}`,
    '',
    table([
      ...omium.map((row) => ({
        system: `Omium, ${row.mode}`,
        ...figures(row),
        'lag at end': row.lag.records,
        'caught up ms': row.lag.caughtUpAfterMs,
        'Omium fsync is': '',
      })),
      ...peers.flatMap((peer) =>
        peer.rows.map((row) => ({
          system: peer.system,
          ...figures(row),
          'lag at end': undefined,
          'caught up ms': undefined,
          'Omium fsync is': ratio(row),
        })),
      ),
    ]),
    '',
    'resident memory at the end of each row, MiB',
    '',
    table(omium.map((row) => ({ mode: row.mode, 'at a time': row.concurrency, ...row.rssMiB }))),
  ]
  for (const peer of peers) lines.push('', `${peer.system}: ${peer.durability}`)
  return lines.join('\n')
}
