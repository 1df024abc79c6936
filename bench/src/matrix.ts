import { ensurePython } from '@omium/dev'
import type { Flags } from './flags.ts'
import { faults, frameworks } from './matrix/expected.ts'
import { launchOn } from './matrix/launch.ts'
import { runMatrix } from './matrix/matrix.ts'
import { type MatrixResult, matrixResult } from './matrix/report.ts'
import { startBenchStack } from './stack.ts'

/** The whole matrix, on a stack of its own. */
export const benchMatrix = async ({ fsync, runs, only }: Flags, say: (line: string) => void): Promise<MatrixResult> => {
  const { python } = await ensurePython({ progress: say })
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
      atATime: 2,
      say,
    })
    return matrixResult(fsync, runs, done)
  } finally {
    await stack.stop()
  }
}

/** Frameworks and classes are chosen apart: naming none of them is all of them. */
const wanted = <T extends string>(one: T, only: readonly string[], all: readonly T[]): boolean =>
  only.includes(one) || !all.some((name) => only.includes(name))
