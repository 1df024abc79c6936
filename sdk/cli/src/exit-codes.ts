import { OmiumError } from '@omium/schemas'

/** What the command's end says to scripts; documented in the README. */
export const exitCodes = {
  ok: 0,
  /** the run failed or was cancelled; a verification found a difference */
  failed: 1,
  /** the command line, its input or the settings are wrong */
  usage: 2,
  /** the platform, or a part of it, cannot be reached */
  unreachable: 3,
  /** the platform refuses: unknown id, wrong key, wrong state, wrong input */
  refused: 4,
  /** it did not happen in time; it may still */
  timeout: 5,
  /** a replay: the code asks for something else than was recorded */
  replayMismatch: 6,
  /** a replay: the code asks for something that was never recorded */
  replayMiss: 7,
  interrupted: 130,
} as const

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
