import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { OmiumError } from '@omium/schemas'

const waitMs = 15_000
const retryMs = 20
/** nobody holds it for so long: whoever made it is gone */
const abandonedMs = 60_000

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const isAbandoned = (file: string): boolean => {
  try {
    const pid = Number(readFileSync(file, 'utf8'))
    const ageMs = Date.now() - statSync(file).mtimeMs
    // between its making and its filling it is empty
    return ageMs > abandonedMs || (pid > 0 && !isAlive(pid))
  } catch {
    return false
  }
}

/**
 * Does something while no other process on this machine does it under the same lock.
 * @throws OmiumError `unavailable` when another holds it for too long
 */
export const locked = async <T>(file: string, work: () => Promise<T>): Promise<T> => {
  const deadline = performance.now() + waitMs
  for (;;) {
    try {
      const handle = openSync(file, 'wx', 0o600)
      writeSync(handle, String(process.pid))
      closeSync(handle)
      break
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
      if (isAbandoned(file)) rmSync(file, { force: true })
      else if (performance.now() > deadline)
        throw new OmiumError('unavailable', `another omium holds ${file}; if none runs, delete it`, { cause })
      else await delay(retryMs)
    }
  }
  try {
    return await work()
  } finally {
    rmSync(file, { force: true })
  }
}
