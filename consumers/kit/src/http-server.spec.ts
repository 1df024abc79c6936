import { describe, expect, it } from 'vitest'
import { openHealthServer } from './http-server.ts'
import { createMetrics, exposeCounters } from './metrics.ts'

const listen = { host: '127.0.0.1', port: 0 }

describe('the health server', () => {
  it('tells alive from ready, and shows metrics with the counters of the log', async () => {
    let missing: string | null = 'the group'
    const metrics = createMetrics()
    exposeCounters(metrics, () => ({ accepted: 7, 'rejected.stale_epoch': 1 }))
    const server = await openHealthServer({ listen, metrics, notReady: () => missing })
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`)
      return { status: response.status, body: await response.text() }
    }
    expect(await get('/health')).toMatchObject({ status: 200 })
    expect(await get('/ready')).toMatchObject({ status: 503, body: expect.stringContaining('the group') })
    missing = null
    expect(await get('/ready')).toMatchObject({ status: 200 })
    expect((await get('/metrics')).body).toContain('omium_log_total{counter="rejected.stale_epoch"} 1')
    expect(await get('/else')).toMatchObject({ status: 404 })
    await server.close()
  })
  it('says which address it cannot have', async () => {
    const first = await openHealthServer({ listen, metrics: createMetrics(), notReady: () => null })
    await expect(
      openHealthServer({ listen: { ...listen, port: first.port }, metrics: createMetrics(), notReady: () => null }),
    ).rejects.toMatchObject({ code: 'unavailable' })
    await first.close()
  })
})
