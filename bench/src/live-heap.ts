import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** The heap of a Node process that was started with `--inspect-port=127.0.0.1:0`, through its own inspector. */
export interface ProcessHeap {
  /** collects all garbage, then says what is left, MiB */
  collectedMiB(): Promise<number>
  close(): void
}

const mib = 1024 * 1024

/**
 * Opens the inspector of a running process: a SIGUSR1 starts it, and the process writes its address to its log.
 * @throws Error when no address was written within 60 s
 */
export const openHeap = async (pid: number, logFile: string): Promise<ProcessHeap> => {
  process.kill(pid, 'SIGUSR1')
  const deadline = performance.now() + 60_000
  let url: string | undefined
  while (url === undefined) {
    url = /Debugger listening on (ws:\S+)/.exec(readFileSync(logFile, 'utf8'))?.[1]
    if (performance.now() > deadline) throw new Error(`process ${pid} has not opened its inspector`)
    if (url === undefined) await delay(20)
  }
  const socket = new WebSocket(url)
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', () => reject(new Error(`the inspector of process ${pid} does not answer`)))
  })
  let asked = 0
  const answers = new Map<number, (result: unknown) => void>()
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown }
    if (id === undefined) return
    answers.get(id)?.(result)
    answers.delete(id)
  })
  const ask = (method: string): Promise<unknown> =>
    new Promise((resolve) => {
      const id = ++asked
      answers.set(id, resolve)
      socket.send(JSON.stringify({ id, method }))
    })
  await ask('HeapProfiler.enable')
  return {
    collectedMiB: async () => {
      await ask('HeapProfiler.collectGarbage')
      const { usedSize } = (await ask('Runtime.getHeapUsage')) as { usedSize: number }
      return Math.round(usedSize / mib)
    },
    close: () => socket.close(),
  }
}
