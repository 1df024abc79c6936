import { writeSync } from 'node:fs'
import { workerData } from 'node:worker_threads'
import type { StallThreadData } from './stall-watch.ts'

/** The thread of stall-watch.ts. */
const { beats, checkEveryMs, mostMissed } = workerData as StallThreadData
let seen = -1
let missed = 0
const check = (): void => {
  const beat = Atomics.load(beats, 0)
  missed = beat === seen ? missed + 1 : 0
  seen = beat
  if (missed < mostMissed) return
  const stalledMs = Math.round(missed * checkEveryMs)
  // the main thread cannot write any more, and pipes of this one go through it
  writeSync(2, `omium: agent code blocked the event loop for ${stalledMs} ms; ending the worker process\n`)
  process.kill(process.pid, 'SIGKILL')
}
setInterval(check, checkEveryMs)
