import { eventually } from '@omium/dev/testing'
import { rolePermissions, roles } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import type { As, IdentityWorld, Somebody } from './world.ts'

/** What people and keys try that they should not. */
export const attackSpecs = ({ local, localKey, call, somebody, join, parts }: IdentityWorld) => {
  describe('people', () => {
    it('who do something at the same moment as others leave what has to be: one membership, one owner', async () => {
      const [owner, other, guest] = [await somebody(), await somebody(), await somebody()]
      const { home } = owner
      const invited = await call(owner.at(home), 'POST', '/v1/invitations', { email: guest.email, role: 'viewer' })
      const accept = (as: As) => call(as, 'POST', `/v1/me/invitations/${home}/${invited.body.id}/accept`)
      const [first, second, stranger] = await Promise.all([
        accept(guest.at(guest.home)),
        accept(guest.at(guest.home)),
        accept(other.at(other.home)),
      ])
      expect([first.status, second.status, stranger.body.code]).toEqual([200, 200, 'invitation_unknown'])
      await join(owner.at(home), home, other, 'admin')
      const demote = (by: Somebody, whom: Somebody) =>
        call(by.at(home), 'PATCH', `/v1/members/${whom.userId}`, { role: 'viewer' })
      expect((await call(owner.at(home), 'PATCH', `/v1/members/${other.userId}`, { role: 'owner' })).status).toBe(200)
      const both = await Promise.all([
        demote(owner, other),
        demote(other, owner),
        call(owner.at(home), 'DELETE', `/v1/members/${owner.userId}`),
        call(other.at(home), 'DELETE', `/v1/members/${other.userId}`),
      ])
      expect(both.filter(({ status }) => status === 200)).not.toEqual([])
      await eventually(async () => {
        const { rows } = await parts().pool.query(
          `SELECT count(*) FILTER (WHERE role = 'owner')::int AS owners, count(*) FILTER (WHERE user_id = $2)::int AS guests
           FROM identity.memberships WHERE tenant = $1`,
          [home, guest.userId],
        )
        expect(rows).toEqual([{ owners: 1, guests: 1 }])
      })
    })

    it('who ask for names that every object answers to, or of tenants that there are not, learn nothing and change nothing', async () => {
      const owner = await somebody()
      const as = owner.at(owner.home)
      for (const [method, path, body] of [
        ['PATCH', '/v1/members/constructor', { role: 'viewer' }],
        ['DELETE', '/v1/members/constructor', undefined],
        ['DELETE', '/v1/invitations/toString', undefined],
      ] as const)
        expect(await call(as, method, path, body), path).toMatchObject({ status: 404 })
      expect((await call(as, 'GET', '/v1/members')).body.items).toHaveLength(1)
      const told = await Promise.all(
        ['ten_local', 'ten_nowhere', 'constructor'].map(async (tenant) => {
          const { status, body } = await call(as, 'POST', `/v1/me/invitations/${tenant}/inv_1/accept`)
          return [status, body.code, body.detail]
        }),
      )
      expect(told).toEqual(Array(3).fill([404, 'invitation_unknown', expect.stringContaining('inv_1')]))
      expect(new Set(told.map(String)).size).toBe(1)
    })
  })

  describe('a key in the wrong hands', () => {
    const create = async (as: As, body: object) => {
      const { status, body: created } = await call(as, 'POST', '/v1/keys', { name: 'spec', ...body })
      expect(status).toBe(201)
      return created as { id: string; key: string }
    }
    const reading = { scopes: { permissions: ['executions:read'] } }

    it('make no key that works for longer, from elsewhere or at other hours than they do', async () => {
      const hours = [
        { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], from: '00:00', to: '24:00', timeZone: 'UTC' },
      ]
      const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
      const ranges = ['127.0.0.0/8']
      const scopes = { permissions: ['keys:write', 'executions:read'] }
      const { id, key } = await create(local, { scopes, ranges, hours, expiresAt })
      const make = (body: object) => call({ key }, 'POST', '/v1/keys', { name: 'child', ...reading, ...body })
      const own = { ranges: ['127.0.0.1'], hours, expiresAt }
      const later = new Date(Date.now() + 7_200_000).toISOString()
      for (const more of [
        { ranges: undefined },
        { ranges: [] },
        { ranges: ['127.0.0.1', '10.0.0.1'] },
        { ranges: ['127.0.0.0/7'] },
        { ranges: ['::/0'] },
        { hours: undefined },
        { hours: [{ ...hours[0], timeZone: 'Asia/Tokyo' }] },
        { expiresAt: undefined },
        { expiresAt: later },
      ])
        expect(await make({ ...own, ...more }), JSON.stringify(more)).toMatchObject({
          status: 403,
          body: { code: 'forbidden', detail: expect.stringContaining(Object.keys(more)[0] as string) },
        })
      expect((await make(own)).status).toBe(201)
      const rotate = (body: object) => call({ key }, 'POST', `/v1/keys/${id}/rotate`, body)
      expect((await rotate({})).status).toBe(403)
      expect((await rotate({ expiresAt: later })).status).toBe(403)
      expect((await rotate({ expiresAt })).status).toBe(201)
    })

    it('give no role that permits what they may not do', async () => {
      const { key } = await create(local, { scopes: { permissions: ['members:write', 'members:read'] } })
      const invite = (as: As, role: string) =>
        call(as, 'POST', '/v1/invitations', { email: `${role}@example.org`, role })
      for (const role of roles) expect(await invite({ key }, role), role).toMatchObject({ status: 403 })
      const viewing = await create(local, { scopes: { permissions: [...rolePermissions.viewer, 'members:write'] } })
      expect((await invite({ key: viewing.key }, 'viewer')).status).toBe(201)
      for (const role of ['operator', 'admin', 'billing'])
        expect(await invite({ key: viewing.key }, role), role).toMatchObject({ status: 403 })
    })

    it('that sleeps is verified for nobody else: whose it is, is not told', async () => {
      const person = await somebody()
      const day = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'][(new Date().getUTCDay() + 3) % 7]
      const hours = [{ days: [day], from: '12:00', to: '13:00', timeZone: 'UTC' }]
      const { key } = await create(local, { ...reading, hours })
      expect((await call(person.at(person.home), 'POST', '/v1/keys/verify', { key })).body).toEqual({ valid: false })
    })
  })

  it('what is answered to somebody who is known is kept in no cache', async () => {
    for (const path of ['/v1/me', '/v1/members', '/v1/keys', '/v1/executions/none']) {
      const { headers } = await fetch(`${parts().gateway.url}${path}`, {
        headers: { authorization: `Bearer ${localKey}` },
      })
      expect(headers.get('cache-control'), path).toBe('no-store')
    }
  })
}
