import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { testStack } from '@omium/dev/testing'
import { describe, expect, it } from 'vitest'
import { createS3ObjectStore } from '../src/s3-object-store.ts'
import { objectStoreContract } from '../src/testing.ts'

objectStoreContract('S3', () => createS3ObjectStore(testStack().s3))

describe('an object store that is down', () => {
  it('is reported as unavailable, and soon without asking it', async () => {
    let asked = 0
    const server = createServer((_, response) => {
      asked++
      response.writeHead(asked === 1 ? 200 : 503).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const store = await createS3ObjectStore({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      bucket: 'down',
      accessKeyId: 'a',
      secretAccessKey: 'b',
    })
    try {
      for (let i = 0; i < 20; i++) {
        await expect(store.put('k', Buffer.from('v'))).rejects.toMatchObject({ code: 'unavailable', retryable: true })
      }
      expect(asked).toBeLessThan(30)
    } finally {
      await store.close()
      server.close()
    }
  })
})
