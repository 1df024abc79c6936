import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { OmiumError } from '@omium/schemas'
import { logTail, type ManagedProcess } from './supervisor.ts'

/**
 * Asks until the probe stops throwing, the process ends or time is up.
 * @throws OmiumError `unavailable` naming the process, with the end of its log
 */
export const waitUntilReady = async (
  process_: ManagedProcess,
  probe: () => Promise<void>,
  { timeoutMs = 180_000, intervalMs = 50 } = {},
): Promise<void> => {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      await probe()
      return
    } catch (error) {
      last = error
    }
    const problem = process_.hasExited()
      ? 'ended while starting'
      : performance.now() > deadline
        ? `is not ready after ${timeoutMs} ms`
        : undefined
    if (problem) {
      const tail = logTail(process_.logFile)
      throw new OmiumError('unavailable', `${process_.name} ${problem}; its log ${process_.logFile} ends:\n${tail}`, {
        cause: last,
      })
    }
    await delay(intervalMs)
  }
}

/** Sends bytes to a port of 127.0.0.1 and resolves with what comes back first. */
export const exchange = (
  port: number,
  message: string,
  until: (received: string) => boolean,
  timeoutMs = 1000,
): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let received = ''
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no answer in time')))
    socket.once('error', reject)
    socket.once('connect', () => socket.write(message))
    socket.on('data', (chunk) => {
      received += chunk.toString('utf8')
      if (!until(received)) return
      socket.end()
      resolve(received)
    })
    socket.once('close', () => reject(new Error(`closed after ${JSON.stringify(received.slice(0, 80))}`)))
  })
