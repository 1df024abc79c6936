import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { omium } from '@omium/sdk'
import { type Cell, type CellSettings, runCell, runIdOf } from './cell.ts'
import { type Fault, type Framework, frameworks, outcomeOf, policies, stallAfterMs } from './expected.ts'
import { type Speech, startModelEndpoint } from './model-endpoint.ts'
import { type Launch, Workers } from './workers.ts'

export interface MatrixSettings {
  /** of the platform: `OMIUM_URL`, `OMIUM_API_KEY` */
  readonly environment: Readonly<Record<string, string>>
  readonly launch: Launch
  readonly python: string
  readonly cells: readonly { readonly framework: Framework; readonly fault: Fault }[]
  /** of each cell */
  readonly runs: number
  /** frameworks at a time */
  readonly atATime: number
  readonly say: (line: string) => void
  /** how the model tells its failures; default `gateway` */
  readonly speech?: Speech
  /** what stands between the workers and the model */
  readonly before?: (modelUrl: string) => Promise<{ readonly baseUrl: string; readonly apiKey: string }>
}

/** Runs each of the cells so often on a platform that is up. Publishes the policies that it needs. */
export const runMatrix = async ({
  environment,
  launch,
  python,
  cells,
  runs,
  atATime,
  say,
  speech = 'gateway',
  before,
}: MatrixSettings): Promise<Cell[]> => {
  const { OMIUM_URL: url, OMIUM_API_KEY: apiKey } = environment
  const client = omium({ ...(url && { url }), ...(apiKey && { apiKey }) })
  const home = mkdtempSync(join(tmpdir(), 'omium-matrix-'))
  const actsLog = join(home, 'acts')
  writeFileSync(actsLog, '')
  const endpoint = await startModelEndpoint(speech)
  const direct = { baseUrl: endpoint.baseUrl, apiKey: 'none' }
  const models = await (before?.(endpoint.baseUrl) ?? Promise.resolve(direct)).catch(async (error: unknown) => {
    await endpoint.close()
    throw error
  })
  const env = { ...environment, OPENAI_BASE_URL: models.baseUrl, OPENAI_API_KEY: models.apiKey }
  const waiting = frameworks.filter((framework) => cells.some((cell) => cell.framework === framework))
  const done: Cell[] = []

  const runFramework = async (framework: Framework): Promise<void> => {
    const workers = new Workers(framework, { launch, python, env, actsLog })
    const settings: CellSettings = { client, actsLog, workers }
    const own = cells.filter((cell) => cell.framework === framework)
    const one = async (fault: Fault, number: number): Promise<void> => {
      const cell = await runCell(settings, framework, fault, number).catch((error: unknown): Cell => {
        const deviations = [error instanceof Error ? error.message : String(error)]
        const runId = runIdOf(framework, fault, number)
        return { framework, fault, runId, expected: outcomeOf(fault, framework), got: 'nothing', deviations }
      })
      done.push(cell)
      say(`${framework} ${fault}: ${cell.deviations.length === 0 ? cell.got : cell.deviations.join('; ')}`)
    }
    try {
      await workers.start()
      await known(client, `faulty_${framework}`)
      const crashes = own.some(({ fault }) => fault === 'worker_crash')
      if (crashes) workers.startSpare()
      const calm = own.filter(({ fault }) => fault !== 'worker_crash')
      // who shares a gateway shares the pause that a provider asks for
      const limits = before ? calm.filter(({ fault }) => fault === 'rate_limit') : []
      for (const group of [limits, calm.filter((cell) => !limits.includes(cell))])
        for (let number = 1; number <= runs; number++) await Promise.all(group.map(({ fault }) => one(fault, number)))
      // last and one by one: a worker takes all its runs with it
      for (let number = 1; crashes && number <= runs; number++) {
        await workers.ready()
        await one('worker_crash', number)
      }
    } finally {
      await workers.killAll()
    }
  }

  try {
    await client.recoveryPolicies.publish('matrix', policies.matrix)
    await client.recoveryPolicies.publish('matrix-stall', { ...policies.matrix, stalls: { afterMs: stallAfterMs } })
    const lane = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await runFramework(next)
    }
    await Promise.all(Array.from({ length: atATime }, lane))
    return done
  } finally {
    await endpoint.close()
    rmSync(home, { recursive: true, force: true })
  }
}

const known = async (client: ReturnType<typeof omium>, agent: string): Promise<void> => {
  const deadline = performance.now() + 30_000
  while (!(await client.agents()).some((one) => one.agent === agent)) {
    if (performance.now() > deadline) throw new Error(`${agent} did not become known within 30 s`)
    await delay(50)
  }
}
