import { createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createRegistryApi } from './registry-api.ts'

test('a registry that takes connections and never answers is given up after its time', async () => {
  const sockets = new Set<Socket>()
  const silent = createServer((socket) => void sockets.add(socket))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  const api = createRegistryApi(`http://127.0.0.1:${port}`, { attempts: 2, timeoutMs: 50 })
  try {
    const asks = [
      () => api.idOf('s', '{}'),
      () => api.register('s', '{}'),
      () => api.exists(1),
      () => api.incompatibilities('s', '{}'),
    ]
    for (const ask of asks) await expect(ask()).rejects.toMatchObject({ code: 'unavailable' })
  } finally {
    for (const socket of sockets) socket.destroy()
    silent.close()
  }
})
