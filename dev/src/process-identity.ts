import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A process that can be recognised later: pids are reused, a pid together with its start time is not. */
export interface ProcessIdentity {
  pid: number
  startedAt: string
}

/** When the process started, in whatever unit the system keeps; undefined when it is gone or a zombie. */
const startTime = (pid: number): string | undefined => {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      // the command name may hold spaces and brackets: fields count from the last bracket
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
    } catch {
      return undefined
    }
  }
  try {
    const out = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim()
    return out === '' || out.startsWith('Z') ? undefined : out.replace(/^\S+\s+/, '')
  } catch {
    return undefined
  }
}

/** The identity of a running process, or undefined when there is none with this pid. */
export const identify = (pid: number): ProcessIdentity | undefined => {
  const startedAt = startTime(pid)
  return startedAt === undefined ? undefined : { pid, startedAt }
}

export const isRunning = (identity: ProcessIdentity): boolean => startTime(identity.pid) === identity.startedAt

/** Signals the whole group that the process leads, if it is still that process. Returns whether a signal went out. */
export const signalGroup = (identity: ProcessIdentity, signal: NodeJS.Signals): boolean => {
  if (!isRunning(identity)) return false
  try {
    process.kill(-identity.pid, signal)
    return true
  } catch {
    try {
      process.kill(identity.pid, signal)
      return true
    } catch {
      return false
    }
  }
}
