import { url as inspectorUrl } from 'node:inspector'
import { Worker as Thread } from 'node:worker_threads'

/** What the watching thread is given. */
export interface StallThreadData {
  /** counts up while the event loop turns */
  readonly beats: Int32Array
  readonly checkEveryMs: number
  /** so many checks in a row without a beat end the process */
  readonly mostMissed: number
}

const checks = 8

/**
 * Ends this process when user code blocks its event loop for longer than `stallTimeoutMs`. Such a worker has lost its runs
 * long ago and would never take another one; whoever supervises the process starts it anew. A thread of its own watches, as
 * nothing else can run. It counts checks and not time: a process that was stopped and goes on is not to blame, nor is one
 * under a debugger.
 * @returns a function that ends the watch
 */
export const watchForStalls = (stallTimeoutMs: number): (() => void) => {
  if (inspectorUrl() !== undefined) return () => {}
  const checkEveryMs = Math.max(5, stallTimeoutMs / checks)
  const beats = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  const heart = setInterval(() => Atomics.add(beats, 0, 1), checkEveryMs / 2).unref()
  const workerData: StallThreadData = { beats, checkEveryMs, mostMissed: checks }
  const thread = new Thread(new URL('./stall-thread.ts', import.meta.url), { workerData })
  thread.unref()
  // without the watch everything else still works
  thread.on('error', () => {})
  return () => {
    clearInterval(heart)
    void thread.terminate()
  }
}
