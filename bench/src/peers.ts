import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import type { Flags } from './flags.ts'
import type { LoadRow } from './load.ts'

const folder = resolve(import.meta.dirname, '../peers')

export interface PeerResult {
  readonly system: string
  readonly durability: string
  readonly rows: readonly LoadRow[]
}

const row = z.object({
  concurrency: z.number(),
  workflows: z.number(),
  seconds: z.number(),
  stepsPerSecond: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
})
const said = z.union([z.object({ system: z.string(), durability: z.string() }), z.object({ row })])

/** The peers have a lockfile of their own; only `--peers` installs them. */
export const installPeers = async (say: (line: string) => void): Promise<void> => {
  if (existsSync(join(folder, 'node_modules/.package-lock.json'))) return
  say('installing DBOS and Restate into bench/peers')
  const npm = spawn('npm', ['ci', '--workspaces=false', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const code = await new Promise((done) => npm.once('exit', done))
  if (code !== 0) throw new Error(`npm ci in bench/peers ended with code ${code}`)
}

/** Runs one peer's program in a process of its own, under the same load as Omium. */
export const measurePeer = async (
  program: 'dbos' | 'restate',
  flags: Flags,
  databaseUrl: string,
  say: (line: string) => void,
): Promise<PeerResult> => {
  const levels = flags.concurrency.join(',')
  const child = spawn(
    process.execPath,
    [
      join(folder, `${program}.mjs`),
      `--concurrency=${levels}`,
      `--warmup-ms=${flags.warmupMs}`,
      `--measure-ms=${flags.measureMs}`,
    ],
    { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, PEER_DATABASE_URL: databaseUrl } },
  )
  const ended = new Promise<number | null>((done) => child.once('exit', done))
  let head = { system: program as string, durability: 'unknown' }
  const rows: LoadRow[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    const parsed = said.safeParse(JSON.parse(line))
    if (!parsed.success) continue
    if ('row' in parsed.data) {
      rows.push(parsed.data.row)
      say(`${head.system}: ${parsed.data.row.concurrency} at a time: ${parsed.data.row.stepsPerSecond} steps/s`)
    } else head = parsed.data
  }
  const code = await ended
  if (code !== 0) throw new Error(`the ${program} program ended with code ${code} after ${rows.length} rows`)
  return { ...head, rows }
}
