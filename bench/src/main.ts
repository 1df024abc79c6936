import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { defaultHome } from '@omium/dev'
import { OmiumError } from '@omium/schemas'
import { benchEngine, engineText } from './engine.ts'
import { type Flags, readFlags } from './flags.ts'
import { benchFrameworks, frameworksText } from './frameworks.ts'
import { benchGateway, gatewayText } from './gateway.ts'
import { benchKeys, keysText } from './keys.ts'
import { matrixText } from './matrix/report.ts'
import { benchMatrix } from './matrix.ts'
import { benchModels, modelsText } from './models.ts'
import { benchMttr, mttrText } from './mttr.ts'
import { benchOverload, overloadText } from './overload.ts'
import { benchRebuild, rebuildText } from './rebuild.ts'
import { benchRecovery, recoveryText } from './recovery.ts'
import { benchSoak, soakText } from './soak.ts'
import { benchTiming, tells, timingText } from './timing.ts'

/** Runs a bench, writes its result to `.omium/bench/` and prints it. Numbers come from this run and nowhere else. */
const run = async (flags: Flags, say: (line: string) => void): Promise<{ result: unknown; text: string }> => {
  switch (flags.bench) {
    case 'engine': {
      const result = await benchEngine(flags, say)
      return { result, text: engineText(result) }
    }
    case 'gateway': {
      const result = await benchGateway(flags, say)
      return { result, text: gatewayText(result) }
    }
    case 'overload': {
      const result = await benchOverload(flags, say)
      if (!result.holds) process.exitCode = 1
      return { result, text: overloadText(result) }
    }
    case 'frameworks': {
      const result = await benchFrameworks(flags, say)
      return { result, text: frameworksText(result) }
    }
    case 'recovery': {
      const result = await benchRecovery(flags, say)
      return { result, text: recoveryText(result) }
    }
    case 'rebuild': {
      const result = await benchRebuild(flags, say)
      return { result, text: rebuildText(result) }
    }
    case 'models': {
      const result = await benchModels(flags, say)
      return { result, text: modelsText(result) }
    }
    case 'mttr': {
      const result = await benchMttr(flags, say)
      return { result, text: mttrText(result) }
    }
    case 'matrix': {
      const result = await benchMatrix(flags, say)
      if (result.deviations.length > 0) process.exitCode = 1
      return { result, text: matrixText(result) }
    }
    case 'keys': {
      const result = await benchKeys(flags, say)
      return { result, text: keysText(result) }
    }
    case 'timing': {
      const result = await benchTiming(flags, say)
      if (tells(result)) process.exitCode = 1
      return { result, text: timingText(result) }
    }
    case 'soak': {
      const result = await benchSoak(flags, say)
      return { result, text: soakText(result) }
    }
  }
}

try {
  const flags = readFlags(process.argv.slice(2))
  const startedAt = new Date()
  const { result, text } = await run(flags, (line) => process.stderr.write(`  ${line}\n`))
  const document = {
    bench: flags.bench,
    startedAt: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt.getTime()) / 1000),
    machine: {
      cpus: cpus().length,
      model: cpus()[0]?.model,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      node: process.version,
    },
    flags,
    result,
  }
  const folder = join(defaultHome(), 'bench')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${flags.bench}-${startedAt.toISOString().replace(/[:.]/g, '-')}.json`)
  writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`)
  console.log(flags.json ? JSON.stringify(document) : `${text}\n\n${file}`)
} catch (error) {
  console.error(error instanceof OmiumError ? `${error.code}: ${error.message}` : error)
  process.exitCode = 1
}
