import { eventually } from '@omium/dev/testing'
import { permissions } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import type { As, IdentityWorld } from './world.ts'

/** Tenants, and how they are founded, changed and left. */
export const tenantSpecs = (world: IdentityWorld) => {
  const { call, local, localKey, somebody, join } = world

  describe('the local tenant', () => {
    it('was founded with its key on the log, and the key is stored nowhere', async () => {
      const me = await call(local, 'GET', '/v1/me')
      expect(me).toMatchObject({ status: 200, body: { tenant: 'ten_local', permissions: [...permissions] } })
      const { rows } = await world.parts().pool.query('SELECT k::text AS text FROM identity.api_keys k')
      expect(rows).toHaveLength(1)
      expect(rows[0].text).not.toContain(localKey)
      expect((await call(local, 'GET', '/v1/tenant')).body).toMatchObject({ id: 'ten_local', name: 'Local' })
    })
  })

  it('a tenant is renamed, and may be used from addresses that include those of whoever says so', async () => {
    const person = await somebody()
    const as = person.at(person.home)
    const change = (body: object) => call(as, 'PATCH', '/v1/tenant', body)
    expect((await change({ name: 'Elsewhere' })).status).toBe(200)
    expect(await change({ ranges: ['10.0.0.0/8'] })).toMatchObject({ status: 422, body: { code: 'invalid_request' } })
    expect((await change({ ranges: ['10.0.0.0/33'] })).status).toBe(422)
    expect((await change({ ranges: ['127.0.0.0/8', '::1'] })).status).toBe(200)
    expect((await call(as, 'GET', '/v1/tenant')).body).toMatchObject({
      name: 'Elsewhere',
      ranges: ['127.0.0.0/8', '::1'],
    })
  })

  it('another tenant is founded by a person, once, who owns it and may leave when somebody else does', async () => {
    const [founder, other] = [await somebody(), await somebody()]
    const found = (as: As) =>
      fetch(`${world.parts().gateway.url}/v1/tenants`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'idempotency-key': 'founding',
          ...(as && 'person' in as && { 'x-spec-session': as.person }),
        },
        body: JSON.stringify({ name: 'Second' }),
      })
    const [first, again] = await Promise.all([found(founder.at(founder.home)), found(founder.at(founder.home))])
    expect([first.status, again.status]).toEqual([201, 201])
    const [{ id }, repeated] = (await Promise.all([first.json(), again.json()])) as [{ id: string }, { id: string }]
    expect([repeated.id, id]).toEqual([id, expect.stringMatching(/^ten_/)])
    const there = founder.at(id ?? '')
    expect((await call(there, 'GET', '/v1/tenant')).body).toMatchObject({ id, name: 'Second' })
    expect((await call(there, 'GET', '/v1/me')).body).toMatchObject({ role: 'owner' })
    expect((await call(other.at(id ?? ''), 'GET', '/v1/tenant')).status).toBe(403)
    expect(await call(local, 'POST', '/v1/tenants', { name: 'x' })).toMatchObject({ status: 403 })
    const leave = () => call(there, 'DELETE', `/v1/members/${founder.userId}`)
    expect(await leave()).toMatchObject({ status: 409, body: { code: 'last_owner' } })
    await join(there, id ?? '', other, 'admin')
    expect((await call(there, 'PATCH', `/v1/members/${other.userId}`, { role: 'owner' })).status).toBe(200)
    expect((await leave()).status).toBe(200)
    await eventually(async () => expect((await call(there, 'GET', '/v1/tenant')).status).toBe(403))
  })
}
