import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { defaultHome } from './layout.ts'

/** Copies the logs of a stack that is about to be deleted to where they can be read afterwards; returns that folder. */
export const keepFailedLogs = (logs: string): string => {
  const folder = join(defaultHome(), 'failed-test-logs')
  rmSync(folder, { recursive: true, force: true })
  cpSync(logs, folder, { recursive: true })
  return folder
}
