import { OmiumError, readSettings, type Settings, type settings } from '@omium/schemas'

/**
 * The named settings from this process's environment. When any is bad, every one that is bad is printed, never its value,
 * and the process ends with code 1. For composition roots only.
 */
export const settingsOrExit = <N extends keyof typeof settings>(names: readonly N[]): Settings<N> => {
  try {
    return readSettings(process.env, names)
  } catch (error) {
    if (!(error instanceof OmiumError)) throw error
    process.stderr.write(`${error.code}: ${error.message}\n`)
    process.exit(1)
  }
}
