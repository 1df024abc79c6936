import type { RunOverrides } from '@omium/schemas'
import type { Edits } from '@omium/sdk'
import type { Command } from 'commander'
import { UsageError } from './exit-codes.ts'
import { readJsonArgument, wholeNumber } from './input.ts'
import type { Io } from './io.ts'

/** Flags that say what a run does otherwise than it did; the same for roll backs, forks and replays. */

export interface OverrideFlags {
  model?: string[]
  instructions?: string
  maxInputTokens?: number
}
export interface EditFlags extends OverrideFlags {
  output?: string[]
  agent?: string
}

const collect = (one: string, all: string[] = []): string[] => [...all, one]

export const addOverrideFlags = (command: Command): Command =>
  command
    .option('-m, --model <model>', 'another model: NAME for any, or ASKED=NAME; may be given several times', collect)
    .option('--instructions <text>', 'a system message added to every model call')
    .option('--max-input-tokens <count>', 'leave the oldest messages out', wholeNumber('--max-input-tokens', 1, 1e9))

export const addEditFlags = (command: Command): Command =>
  addOverrideFlags(command)
    .option(
      '-o, --output <path=json>',
      'another result of a step that is taken over; may be given several times',
      collect,
    )
    .option('--agent <id>', 'another agent, e.g. the next version of this one')

export const overridesOf = ({ model, instructions, maxInputTokens }: OverrideFlags): RunOverrides | undefined => {
  const models: Record<string, string> = {}
  for (const given of model ?? []) {
    const at = given.indexOf('=')
    models[at < 0 ? '*' : given.slice(0, at)] = given.slice(at + 1)
  }
  const overrides: RunOverrides = {
    ...(Object.keys(models).length > 0 && { models }),
    ...(instructions !== undefined && { instructions }),
    ...(maxInputTokens !== undefined && { maxInputTokens }),
  }
  return Object.keys(overrides).length > 0 ? overrides : undefined
}

/** @throws UsageError, OmiumError `invalid_json` */
export const editsOf = async (io: Io, flags: EditFlags): Promise<Edits> => {
  const outputs = await Promise.all(
    (flags.output ?? []).map(async (given) => {
      const at = given.indexOf('=')
      if (at < 1) throw new UsageError(`--output is <path>=<json>, not ${given}`)
      return { path: given.slice(0, at), output: await readJsonArgument(io, given.slice(at + 1)) }
    }),
  )
  const overrides = overridesOf(flags)
  return {
    ...(outputs.length > 0 && { outputs }),
    ...(overrides && { overrides }),
    ...(flags.agent !== undefined && { agent: flags.agent }),
  }
}
