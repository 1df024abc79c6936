import { OmiumError, readSettings, type Settings, type settings } from '@omium/schemas'

/**
 * What `read` makes of this process's environment. When any setting is bad, every one that is bad is printed, never its
 * value, and the process ends with code 1. For composition roots only.
 */
export const orExit = <T>(read: () => T): T => {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof OmiumError)) throw error
    process.stderr.write(`${error.code}: ${error.message}\n`)
    process.exit(1)
  }
}

/** The named settings of the platform, or the end of the process. */
export const settingsOrExit = <N extends keyof typeof settings>(names: readonly N[]): Settings<N> =>
  orExit(() => readSettings(process.env, names))
