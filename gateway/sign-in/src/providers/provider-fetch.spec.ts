import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { createProviderFetch } from './provider-fetch.ts'

const get = { method: 'GET', headers: {}, body: undefined, redirect: 'manual' } as const

it('gives up on a provider that hangs or fails, stops asking, and begins again when it is well', async () => {
  const provider = { asked: 0, mode: 'hangs' as 'hangs' | 'fails' | 'answers' }
  const server = createServer((_request, response) => {
    provider.asked++
    if (provider.mode !== 'hangs') response.writeHead(provider.mode === 'fails' ? 503 : 404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const calls = createProviderFetch({ name: 'Example', timeoutMs: 100, resetMs: 50 })
  const unavailable = () => expect(calls.fetch(url, get)).rejects.toMatchObject({ code: 'unavailable' })
  try {
    await Promise.all(Array.from({ length: 5 }, unavailable))
    provider.mode = 'fails'
    const before = provider.asked
    await unavailable()
    expect(provider.asked).toBe(before)
    provider.mode = 'answers'
    const answered = async (): Promise<number> =>
      calls.fetch(url, get).then(
        ({ status }) => status,
        () => new Promise((resolve) => setImmediate(() => resolve(answered()))),
      )
    // what is wrong with a request is no failure of the provider
    expect(await answered()).toBe(404)
  } finally {
    calls.close()
    server.closeAllConnections()
    server.close()
  }
})
