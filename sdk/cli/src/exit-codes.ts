import { OmiumError } from '@omium/schemas'

/** What the command's end says to scripts. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  refused: 4,
  timeout: 5,
  replayMismatch: 6,
  replayMiss: 7,
  interrupted: 130,
} as const

/** As `omium help` and docs/cli.md say it. */
export const exitCodeMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'done',
  failed: 'the run failed or was cancelled; a verification found a difference',
  usage: 'the command line, its input or the settings are wrong',
  unreachable: 'the platform, or a part of it, cannot be reached; `status`: nothing runs',
  refused: 'the platform refuses: unknown id, wrong key, wrong state, wrong input',
  timeout: 'it did not happen in time; it may still',
  replayMismatch: 'replay: the code asks for something else than was recorded',
  replayMiss: 'replay: the code asks for something that was never recorded',
  interrupted: 'interrupted; a run that was waited for goes on',
}

/** The command line asks for something that it can't. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The run that was waited for did not complete. */
export class RunFailed extends Error {
  override readonly name = 'RunFailed'
}

/** Recorded runs do not fit today's code. */
export class ReplayFailed extends Error {
  override readonly name = 'ReplayFailed'
  readonly exitCode: number

  constructor(message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }
}

/** A person ended the command, not what it watched. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

const unreachable: readonly string[] = [
  'unavailable',
  'log_unreachable',
  'log_fenced',
  'log_in_doubt',
  'object_missing',
]

export const exitCodeOf = (error: unknown): number => {
  if (error instanceof RunFailed) return exitCodes.failed
  if (error instanceof ReplayFailed) return error.exitCode
  if (error instanceof Interrupted) return exitCodes.interrupted
  if (error instanceof UsageError) return exitCodes.usage
  if (!(error instanceof OmiumError)) return exitCodes.failed
  if (error.code === 'settings_invalid' || error.code === 'invalid_json') return exitCodes.usage
  if (error.code === 'timeout' || error.code === 'offset_not_reached') return exitCodes.timeout
  return unreachable.includes(error.code) ? exitCodes.unreachable : exitCodes.refused
}
