import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePython } from '@omium/dev'
import type { Flags } from './flags.ts'
import { faults, frameworks } from './matrix/expected.ts'
import { launchOn } from './matrix/launch.ts'
import { runMatrix } from './matrix/matrix.ts'
import { type MatrixResult, matrixResult } from './matrix/report.ts'
import { type BenchStack, startBenchStack } from './stack.ts'

/** The whole matrix, on a stack of its own. */
export const benchMatrix = async (
  { fsync, runs, only, models }: Flags,
  say: (line: string) => void,
): Promise<MatrixResult> => {
  const { python } = await ensurePython({ progress: say })
  const home = mkdtempSync(join(tmpdir(), 'omium-matrix-models-'))
  const stack = await startBenchStack({ fsync, services: 'platform with recovery', say })
  try {
    const cells = frameworks
      .flatMap((framework) => faults.map((fault) => ({ framework, fault })))
      .filter(({ framework, fault }) => wanted(framework, only, frameworks) && wanted(fault, only, faults))
    const done = await runMatrix({
      environment: stack.environment,
      launch: launchOn(stack.running),
      python,
      cells,
      runs,
      atATime: models === 'gateway' ? 1 : 2,
      say,
      speech: models === 'scripted' ? 'gateway' : 'providers',
      ...(models === 'gateway' && { before: (modelUrl: string) => modelGateway(stack, home, modelUrl) }),
    })
    return matrixResult(fsync, runs, done)
  } finally {
    await stack.stop()
    rmSync(home, { recursive: true, force: true })
  }
}

/** The model gateway before the scripted model. */
const modelGateway = async (stack: BenchStack, home: string, modelUrl: string) => {
  const file = join(home, 'models.json')
  const settings = {
    version: 1,
    providers: { scripted: { dialect: 'openai', baseUrl: modelUrl } },
    models: { 'model-*': { targets: [{ provider: 'scripted' }] } },
    // each failure is to reach the run, and none is to be a neighbour's
    retries: { max: 0 },
    breaker: { minimumCalls: 1_000_000 },
    // a run with a budget has spent it after one call
    prices: { version: 'bench', models: { 'model-a': { input: 100, output: 0 } } },
  }
  writeFileSync(file, JSON.stringify(settings))
  const env = { OMIUM_MODELS_FILE: file, OMIUM_MODELS_PORT: '0', OMIUM_LOG_LEVEL: 'info' }
  const [, url = ''] = await stack.spawn('models', 'gateway/models/src/main.ts', env).line(/"url":"([^"]+)"/)
  return { baseUrl: `${url}/v1`, apiKey: stack.environment['OMIUM_API_KEY'] ?? '' }
}

/** Frameworks and classes are chosen apart: naming none of them is all of them. */
const wanted = <T extends string>(one: T, only: readonly string[], all: readonly T[]): boolean =>
  only.includes(one) || !all.some((name) => only.includes(name))
