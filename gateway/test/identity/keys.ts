import { eventually, newApiKey } from '@omium/dev/testing'
import { parseApiKey, permissions } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import type { As, IdentityWorld } from './world.ts'

/** API keys and service tokens, from their making to their end. */
export const keySpecs = (world: IdentityWorld) => {
  const { call, local, localKey, somebody } = world

  describe('API keys', () => {
    const create = async (as: As, body: object) => {
      const { status, body: created } = await call(as, 'POST', '/v1/keys', { name: 'spec', ...body })
      expect(status).toBe(201)
      return created as { id: string; key: string; prefix: string }
    }
    const reading = { scopes: { permissions: ['executions:read'] } }

    it('are shown once, work at once, and are listed without the key', async () => {
      const { id, key, prefix } = await create(local, reading)
      expect(parseApiKey(key)).toMatchObject({ keyId: id, prefix, environment: 'test' })
      expect((await call({ key }, 'GET', '/v1/executions')).status).toBe(200)
      expect((await call({ key }, 'GET', '/v1/keys')).status).toBe(403)
      const { body } = await call(local, 'GET', '/v1/keys')
      expect(body.items.map((item: { id: string }) => item.id)).toContain(id)
      expect(JSON.stringify(body)).not.toContain(key.slice(prefix.length + 1))
      await eventually(
        async () =>
          expect((await call(local, 'GET', `/v1/keys/${id}`)).body).toMatchObject({
            status: 'live',
            lastUsedAt: expect.any(String),
          }),
        { timeoutMs: 20_000 },
      )
    })

    it('are made once for one idempotency key; the repetition is told so, and not the key', async () => {
      const body = { name: 'once', ...reading }
      const [one, two] = await Promise.all(
        [0, 1].map(() => call({ key: localKey, once: 'one-key-please' }, 'POST', '/v1/keys', body)),
      )
      expect([one?.status, two?.status].sort()).toEqual([201, 409])
      const [made, told] = one?.status === 201 ? [one, two] : [two, one]
      expect(told?.body).toMatchObject({ code: 'identity_conflict', detail: expect.stringContaining(made?.body.id) })
      expect(JSON.stringify(told?.body)).not.toContain(made?.body.key)
      const { body: list } = await call(local, 'GET', '/v1/keys')
      expect(list.items.filter(({ name }: { name: string }) => name === 'once')).toHaveLength(1)
      expect((await call({ key: made?.body.key }, 'GET', '/v1/executions')).status).toBe(200)
    })

    it('cannot give what they do not have', async () => {
      const { key } = await create(local, { scopes: { permissions: ['keys:write', 'keys:read'] } })
      expect(await call({ key }, 'POST', '/v1/keys', { name: 'more', ...reading })).toMatchObject({
        status: 403,
        body: { code: 'forbidden' },
      })
      expect(
        (await call({ key }, 'POST', '/v1/keys', { name: 'same', scopes: { permissions: ['keys:read'] } })).status,
      ).toBe(201)
    })

    it('are rotated with an overlap, and stop when they are revoked, or when their time is over', async () => {
      const old = await create(local, reading)
      const { status, body: next } = await call(local, 'POST', `/v1/keys/${old.id}/rotate`, { overlapMs: 2_000 })
      expect(status).toBe(201)
      expect((await call(local, 'GET', `/v1/keys/${next.id}`)).body).toMatchObject({
        replaces: old.id,
        scopes: reading.scopes,
      })
      expect((await call({ key: next.key }, 'GET', '/v1/executions')).status).toBe(200)
      await eventually(async () => expect((await call({ key: old.key }, 'GET', '/v1/executions')).status).toBe(401), {
        timeoutMs: 20_000,
      })
      expect((await call(local, 'DELETE', `/v1/keys/${next.id}`, { reason: 'leaked' })).status).toBe(200)
      // this gateway heard of it on the log, before it could answer
      expect((await call({ key: next.key }, 'GET', '/v1/executions')).status).toBe(401)
      expect((await call(local, 'POST', `/v1/keys/${next.id}/rotate`)).body.code).toBe('identity_conflict')
    })

    it('limited to an agent reach no other runs, start nothing else, and nothing that reaches further', async () => {
      const { key } = await create(local, { scopes: { permissions: [...permissions], agents: ['writer'] } })
      const as = { key }
      expect(await call(as, 'POST', '/v1/executions', { agent: 'reader', input: {} })).toMatchObject({ status: 403 })
      expect(await call(as, 'POST', '/v1/executions', { agent: 'writer', input: {} })).toMatchObject({
        body: { code: 'agent_unknown' },
      })
      expect(await call(as, 'GET', '/v1/executions')).toMatchObject({ status: 200, body: { items: [] } })
      expect(await call(as, 'GET', '/v1/workflows/w/runs')).toMatchObject({ status: 404 })
      for (const path of ['/v1/keys', '/v1/members', '/v1/checkpoints', '/v1/recoveries', '/v1/failures'])
        expect(await call(as, 'GET', path)).toMatchObject({ status: 403 })
    })

    it('are used at their hours, and those of their tenant', async () => {
      const now = new Date()
      const day = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'][(now.getUTCDay() + 3) % 7]
      const elsewhen = [{ days: [day], from: '12:00', to: '13:00', timeZone: 'UTC' }]
      const { id, key } = await create(local, { ...reading, hours: elsewhen })
      expect(await call({ key }, 'GET', '/v1/executions')).toMatchObject({
        status: 403,
        body: { code: 'outside_hours' },
      })
      expect((await call(local, 'GET', `/v1/keys/${id}`)).body.hours).toEqual(elsewhen)
      const person = await somebody()
      const as = person.at(person.home)
      const change = (hours: unknown) => call(as, 'PATCH', '/v1/tenant', { hours })
      expect(await change(elsewhen)).toMatchObject({ status: 422, body: { code: 'invalid_request' } })
      expect((await change([{ ...elsewhen[0], timeZone: 'Mars/Olympus' }])).status).toBe(422)
      const always = [
        { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], from: '00:00', to: '24:00', timeZone: 'UTC' },
      ]
      expect((await change(always)).status).toBe(200)
      expect((await call(as, 'GET', '/v1/tenant')).body.hours).toEqual(always)
      // as if the rest of the week had come: what is asked for is what counts, not what was remembered
      await world
        .parts()
        .pool.query('UPDATE identity.tenants SET hours = $2 WHERE tenant = $1', [person.home, JSON.stringify(elsewhen)])
      await eventually(async () => expect((await call(as, 'GET', '/v1/me')).body.code).toBe('outside_hours'), {
        timeoutMs: 20_000,
      })
    })

    it('give services tokens for what they may do themselves, which end with them', async () => {
      const { id, key } = await create(local, {
        scopes: { permissions: ['executions:read', 'keys:read', 'keys:write', 'tokens:write'] },
      })
      const ask = (as: As, body: object) => call(as, 'POST', '/v1/service-tokens', body)
      const reads = { audience: 'gateway', permissions: ['executions:read'] }
      const { status, body } = await ask({ key }, reads)
      expect([status, body.permissions]).toEqual([201, ['executions:read']])
      const service = { key: body.token as string }
      expect((await call(service, 'GET', '/v1/me')).body).toMatchObject({
        actor: `key:${id}`,
        permissions: ['executions:read'],
      })
      expect((await call(service, 'GET', '/v1/executions')).status).toBe(200)
      expect((await call(service, 'GET', '/v1/keys')).status).toBe(403)
      expect((await ask(service, reads)).status).toBe(403)
      for (const permission of ['workflows:read', 'keys:write', 'tokens:write'])
        expect(await ask({ key }, { ...reads, permissions: [permission] }), permission).toMatchObject({ status: 403 })
      for (const audience of ['models', 'engine']) {
        const { body: other } = await ask({ key }, { ...reads, audience })
        expect((await call({ key: other.token }, 'GET', '/v1/executions')).status, audience).toBe(401)
      }
      expect((await ask({ key }, { ...reads, audience: 'anybody' })).status).toBe(422)
      expect((await call(local, 'DELETE', `/v1/keys/${id}`)).status).toBe(200)
      expect((await call(service, 'GET', '/v1/executions')).status).toBe(401)
    })

    it('are verified for their own tenant only', async () => {
      const { id, key } = await create(local, reading)
      const person = await somebody()
      const verify = async (as: As, text: string) => (await call(as, 'POST', '/v1/keys/verify', { key: text })).body
      expect(await verify(local, key)).toEqual({ valid: true, id, scopes: reading.scopes })
      expect(await verify(person.at(person.home), key)).toEqual({ valid: false })
      expect(await verify(local, newApiKey())).toEqual({ valid: false })
      expect(await verify(local, 'om_test_nothing')).toEqual({ valid: false })
    })

    it.each([
      ['none', null],
      ['an invented one', { key: newApiKey() }],
      ['one of another environment', { key: newApiKey('live') }],
      ['one with a wrong checksum', { key: `${localKey.slice(0, -1)}${localKey.endsWith('0') ? '1' : '0'}` }],
      ['something else', { key: 'eyJhbGciOiJub25lIn0.e30.' }],
    ] as [string, As][])('%s opens nothing', async (_what, as) => {
      expect(await call(as, 'GET', '/v1/executions')).toMatchObject({ status: 401, body: { code: 'unauthenticated' } })
    })
  })
}
