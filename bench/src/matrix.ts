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
      .filter(({ framework, fault }) => only.length === 0 || only.includes(framework) || only.includes(fault))
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
