import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ensurePython } from '@omium/dev'
import { startModelServer } from '@omium/model-server'
import { type Client, omium } from '@omium/sdk'
import { z } from 'zod'
import type { Flags } from './flags.ts'
import { percentile } from './load.ts'
import { type BenchProcess, type BenchStack, startBenchStack } from './stack.ts'
import { table } from './table.ts'

/**
 * What the journal, and a process for each attempt, cost the agents of a framework. The model answers at once, so that what
 * is left is the framework's own time and ours.
 */
export interface FrameworkRow {
  readonly framework: string
  /** one model call in the framework alone, without Omium */
  readonly nativeMs: number
  /** one model call of a run, whole path, attempts in the worker's process */
  readonly inProcessMs: number
  /** the same, with a process for each attempt */
  readonly isolatedMs: number
  /** from the start to the result of a run with one call */
  readonly shortRunInProcessMs: number
  readonly shortRunIsolatedMs: number
  /** memory that an attempt's process has for itself at its end */
  readonly privateMib: number
  /** from SIGKILL of an attempt's process before its last call to the run's result: detection, a new process, replay */
  readonly resumeP50Ms: number
  readonly resumeMaxMs: number
}

/** A program in `bench/frameworks/`; see `langgraph_bench.py` for what one exports. */
interface Program {
  readonly framework: string
  readonly module: string
  /** how it is told what to do, and where in its output it tells of its process */
  input(told: Told): unknown
  report(output: unknown): unknown
}

interface Told {
  readonly calls: number
  readonly block: string | null
}

const answered = z.object({ answer: z.unknown() })

const programs: readonly Program[] = [
  { framework: 'LangGraph', module: 'langgraph_bench', input: (told) => told, report: (output) => output },
  {
    framework: 'AutoGen',
    module: 'autogen_bench',
    input: (told) => JSON.stringify(told),
    report: (output) => JSON.parse(z.string().parse(answered.parse(output).answer)),
  },
  {
    framework: 'Semantic Kernel',
    module: 'semantic_kernel_bench',
    // a parameter that is a text is given every value as one
    input: ({ calls, block }) => ({ calls, ...(block !== null && { block }) }),
    report: (output) => answered.parse(output).answer,
  },
  {
    framework: 'CrewAI',
    module: 'crewai_bench',
    input: (told) => told,
    report: (output) => z.object({ output: z.unknown() }).parse(output).output,
  },
]

const folder = resolve(import.meta.dirname, '../frameworks')
const calls = 20
const runs = 15
const kills = 10

const report = z.object({ pid: z.number(), private_kib: z.number() })

export const benchFrameworks = async (flags: Flags, say: (line: string) => void): Promise<FrameworkRow[]> => {
  const { python } = await ensurePython({ progress: say })
  const model = await startModelServer({ latencyMs: 0 })
  const stack = await startBenchStack({ fsync: flags.fsync, services: 'platform', say })
  const environment = {
    PYTHONPATH: folder,
    PYTHONHASHSEED: '0',
    OPENAI_BASE_URL: model.baseUrl,
    OPENAI_API_KEY: 'none',
    OMIUM_LOG_LEVEL: 'info',
  }
  try {
    const rows: FrameworkRow[] = []
    for (const program of programs) {
      const { framework, module } = program
      say(`${framework}: without Omium`)
      const native = await measureNative(python, module, environment)
      const measured = new Map<string, Measured>()
      for (const isolation of ['none', 'process']) {
        say(`${framework}: isolation ${isolation}`)
        const worker = await startWorker(stack, python, module, isolation, environment)
        measured.set(isolation, await measureRuns(stack, program, isolation === 'process' ? kills : 0))
        await worker.stop()
      }
      const [inProcess, isolated] = [measured.get('none'), measured.get('process')]
      if (!inProcess || !isolated) throw new Error('a measurement is missing')
      rows.push({
        framework,
        nativeMs: native,
        inProcessMs: (inProcess.longMs - inProcess.shortMs) / (calls - 1),
        isolatedMs: (isolated.longMs - isolated.shortMs) / (calls - 1),
        shortRunInProcessMs: inProcess.shortMs,
        shortRunIsolatedMs: isolated.shortMs,
        privateMib: isolated.privateMib,
        resumeP50Ms: percentile(isolated.resumesMs, 0.5),
        resumeMaxMs: Math.max(...isolated.resumesMs),
      })
    }
    return rows
  } finally {
    await stack.stop()
    await model.close()
  }
}

const measureNative = async (python: string, module: string, env: Record<string, string>): Promise<number> => {
  const args = [join(folder, 'native.py'), module, String(runs), String(calls)]
  const { stdout } = await promisify(execFile)(python, args, { env: { ...process.env, ...env } })
  return percentile(stdout.trim().split('\n').map(Number), 0.5)
}

const startWorker = async (
  stack: BenchStack,
  python: string,
  module: string,
  isolation: string,
  env: Record<string, string>,
): Promise<BenchProcess> => {
  const args = ['-m', 'omium', 'worker', `${module}:team`, '--isolation', isolation]
  const worker = stack.spawnCommand(`python-${module}-${isolation}`, python, args, env)
  await worker.line(/omium\.worker ready/)
  return worker
}

interface Measured {
  readonly longMs: number
  readonly shortMs: number
  readonly privateMib: number
  readonly resumesMs: number[]
}

const measureRuns = async (stack: BenchStack, program: Program, resumes: number): Promise<Measured> => {
  const { OMIUM_URL: url, OMIUM_API_KEY: apiKey } = stack.environment
  const client = omium({ ...(url && { url }), ...(apiKey && { apiKey }) })
  const marks = mkdtempSync(join(tmpdir(), 'omium-bench-frameworks-'))
  try {
    await untilKnown(client)
    const memory: number[] = []
    const timed = async (count: number): Promise<number> => {
      const times: number[] = []
      // the first is for warming up
      for (let run = 0; run <= runs; run++) {
        const begin = performance.now()
        const handle = await client.start('team', program.input({ calls: count, block: null }))
        const { private_kib } = report.parse(program.report(await handle.result({ timeoutMs: 60_000 })))
        if (run > 0) times.push(performance.now() - begin)
        memory.push(private_kib / 1024)
      }
      return percentile(times, 0.5)
    }
    const shortMs = await timed(1)
    const longMs = await timed(calls)
    const resumesMs: number[] = []
    for (let run = 0; run < resumes; run++) {
      const mark = join(marks, `run-${run}`)
      const handle = await client.start('team', program.input({ calls, block: mark }))
      while (!existsSync(mark)) await delay(5)
      const begin = performance.now()
      process.kill(Number(readFileSync(mark, 'utf8')), 'SIGKILL')
      await handle.result({ timeoutMs: 60_000 })
      resumesMs.push(performance.now() - begin)
    }
    return { shortMs, longMs, privateMib: percentile(memory, 0.5), resumesMs }
  } finally {
    rmSync(marks, { recursive: true, force: true })
  }
}

const untilKnown = async (client: Client): Promise<void> => {
  const deadline = performance.now() + 30_000
  while (!(await client.agents()).some(({ agent }) => agent === 'team')) {
    if (performance.now() > deadline) throw new Error('the agent did not become known within 30 s')
    await delay(50)
  }
}

export const frameworksText = (rows: readonly FrameworkRow[]): string =>
  [
    `runs of ${calls} model calls, one after the other, one run at a time; the model answers at once; p50 of ${runs} runs`,
    '',
    table(
      rows.map((row) => ({
        framework: row.framework,
        'alone ms/call': row.nativeMs,
        'in process ms/call': row.inProcessMs,
        'isolated ms/call': row.isolatedMs,
        '1-call run ms': row.shortRunInProcessMs,
        'isolated 1-call run ms': row.shortRunIsolatedMs,
        'private MiB': row.privateMib,
        'resume p50 ms': row.resumeP50Ms,
        'resume max ms': row.resumeMaxMs,
      })),
    ),
  ].join('\n')
