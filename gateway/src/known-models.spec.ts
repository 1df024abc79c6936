import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createKnownModels } from './known-models.ts'

const listening = async (answer: RequestListener) => {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('models that are known', () => {
  it('are those that the model gateway lists to the same key', async () => {
    const seen: unknown[] = []
    const url = await listening((request, response) => {
      seen.push([request.url, request.headers.authorization])
      response.end('{"object":"list","data":[{"id":"smart"},{"id":"gpt-*"}]}')
    })
    expect(await createKnownModels(url).namedFor('Bearer om_x')).toEqual(['smart', 'gpt-*'])
    expect(seen).toEqual([['/v1/models', 'Bearer om_x']])
  })

  it('are nobody knows which, when the list cannot be had', async () => {
    const answers: RequestListener[] = [
      (_, response) => response.writeHead(403).end('{}'),
      (_, response) => response.end('not JSON'),
      (_, response) => response.end('{"data":[{}]}'),
      // a key goes to the configured host and nowhere else
      (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/v1/models' }).end(),
      (_, response) => response.destroy(),
    ]
    for (const answer of answers)
      expect(await createKnownModels(await listening(answer)).namedFor('Bearer om_x')).toBeUndefined()
    expect(await createKnownModels(undefined).namedFor('Bearer om_x')).toBeUndefined()
    expect(await createKnownModels('http://127.0.0.1:1').namedFor('Bearer om_x')).toBeUndefined()
  })
})
