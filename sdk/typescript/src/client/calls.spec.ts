import { expect, expectTypeOf, it } from 'vitest'
import { Http } from './http.ts'

it('asks for what the API has, with what it takes, and knows what it answers', async () => {
  const asked: { url: string; method: string | undefined; body: unknown }[] = []
  const fetch = async (url: unknown, init?: RequestInit): Promise<Response> => {
    asked.push({ url: String(url), method: init?.method, body: init?.body })
    return Response.json({ executionId: 'x', position: '0:1', deduplicated: false })
  }
  const http = new Http({ url: 'http://127.0.0.1:1/', apiKey: 'k', fetch: fetch as typeof globalThis.fetch })
  const receipt = await http.call('POST /v1/executions/{id}/pause', { path: { id: 'a/b' }, body: { reason: 'r' } })
  expectTypeOf(receipt).toEqualTypeOf<{ executionId: string; position: string; deduplicated: boolean }>()
  await http.call('GET /v1/executions', { query: { limit: 3, status: 'running', agent: undefined } })
  expect(asked).toEqual([
    { url: 'http://127.0.0.1:1/v1/executions/a%2Fb/pause', method: 'POST', body: '{"reason":"r"}' },
    { url: 'http://127.0.0.1:1/v1/executions?limit=3&status=running', method: 'GET', body: undefined },
  ])
  const wrong = [
    // @ts-expect-error there is no such operation
    () => http.call('POST /v1/execution', {}),
    // @ts-expect-error it needs a path
    () => http.call('GET /v1/executions/{id}', {}),
    // @ts-expect-error it needs a body with an agent
    () => http.call('POST /v1/executions', { body: { agnt: 'x' } }),
    // @ts-expect-error there is no such status
    () => http.call('GET /v1/executions', { query: { status: 'happy' } }),
  ]
  expect(wrong).toHaveLength(4)
})
