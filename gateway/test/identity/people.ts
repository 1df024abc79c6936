import { eventually } from '@omium/dev/testing'
import { createPersonalData, createSubjectKeys, kmsOf } from '@omium/personal-data'
import { getSession, getUser, userOfAddress } from '@omium/projection-identity'
import { aggregateKey, platformTenant } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config.ts'
import type { IdentityWorld } from './world.ts'

/** Users, members and invitations, from the first sign-in to their erasure. */
export const peopleSpecs = (world: IdentityWorld) => {
  const { call, send, toUser, somebody } = world
  const reads = () => world.parts().reads

  describe('people', () => {
    it('who sign in for the first time own a tenant of their own', async () => {
      const person = await somebody()
      expect(await call(person.at(person.home), 'GET', '/v1/me')).toMatchObject({ body: { role: 'owner' } })
      const { body } = await call(person.at(person.home), 'GET', '/v1/members')
      expect(body.items).toMatchObject([{ userId: person.userId, role: 'owner', email: person.email }])
      expect((await getUser(reads(), person.userId))?.email).not.toContain('example')
    })

    it('who claim one address at the same moment are one user', async () => {
      const address = world.parts().personalData.digest('email', 'same@example.org')
      const aggregate = aggregateKey('address', platformTenant, address)
      await Promise.all(
        ['usr_x', 'usr_y'].map((userId) => send(aggregate, platformTenant, { type: 'ClaimAddress', data: { userId } })),
      )
      await eventually(async () => expect(await userOfAddress(reads(), address)).toMatch(/^usr_[xy]$/), {
        timeoutMs: 20_000,
      })
    })

    it('are invited, change roles and are removed; every change takes effect at once, and sessions end', async () => {
      const [owner, guest, stranger] = [await somebody(), await somebody(), await somebody()]
      const asOwner = owner.at(owner.home)
      const inside = guest.at(owner.home)
      const tenant = owner.home
      expect((await call(inside, 'GET', '/v1/executions')).status).toBe(403)
      const invited = await call(asOwner, 'POST', '/v1/invitations', {
        email: guest.email.toUpperCase(),
        role: 'viewer',
      })
      const path = `/v1/me/invitations/${tenant}/${invited.body.id}/accept`
      expect((await call(asOwner, 'GET', '/v1/invitations')).body.items).toMatchObject([
        { email: guest.email, status: 'open' },
      ])
      // it is for its address, whoever knows its id
      expect(await call(stranger.at(stranger.home), 'POST', path)).toMatchObject({
        status: 404,
        body: { code: 'invitation_unknown' },
      })
      expect((await call(guest.at(guest.home), 'GET', '/v1/me/invitations')).body.items).toMatchObject([{ tenant }])
      expect((await call(guest.at(guest.home), 'POST', path)).status).toBe(200)

      await eventually(async () => expect((await call(inside, 'GET', '/v1/executions')).status).toBe(200), {
        timeoutMs: 20_000,
      })
      expect(
        (await call(inside, 'POST', '/v1/keys', { name: 'x', scopes: { permissions: ['executions:read'] } })).status,
      ).toBe(403)
      const member = `/v1/members/${guest.userId}`
      expect((await call(asOwner, 'PATCH', member, { role: 'admin' })).status).toBe(200)
      await eventually(async () => expect((await call(inside, 'GET', '/v1/keys')).status).toBe(200), {
        timeoutMs: 20_000,
      })
      // an admin makes no owners, not even of themselves
      expect(await call(inside, 'PATCH', member, { role: 'owner' })).toMatchObject({
        status: 403,
        body: { code: 'forbidden' },
      })
      expect(await call(asOwner, 'DELETE', `/v1/members/${owner.userId}`)).toMatchObject({
        status: 409,
        body: { code: 'last_owner' },
      })

      const expiresAt = Date.now() + 3_600_000
      const login = { method: 'magic_link', issuer: 'omium', subject: guest.address } as const
      for (const [sessionId, home] of [
        ['ses_in', tenant],
        ['ses_out', guest.home],
      ] as const)
        await toUser(guest.userId, {
          type: 'StartSession',
          data: {
            sessionId,
            tenant: home,
            login,
            amr: ['otp'],
            authenticatedAt: Date.now(),
            expiresAt,
            client: 'browser',
          },
        })
      await eventually(async () => expect(await getSession(reads(), guest.userId, 'ses_out')).toBeDefined(), {
        timeoutMs: 20_000,
      })
      expect((await call(asOwner, 'DELETE', member)).status).toBe(200)
      await eventually(async () => expect((await call(inside, 'GET', '/v1/executions')).status).toBe(403), {
        timeoutMs: 20_000,
      })
      await eventually(
        async () => expect(await getSession(reads(), guest.userId, 'ses_in')).toMatchObject({ endedWhy: 'removed' }),
        {
          timeoutMs: 20_000,
        },
      )
      expect(await getSession(reads(), guest.userId, 'ses_out')).toMatchObject({ endedAt: null })
      expect((await call(asOwner, 'GET', member)).status).toBe(404)
    })

    it('are erased: what was sealed opens no more, their address is free, and everything folds on', async () => {
      const person = await somebody()
      const sealed = (await getUser(reads(), person.userId))?.email ?? ''
      const session = { method: 'magic_link', issuer: 'omium', subject: person.address } as const
      await toUser(person.userId, {
        type: 'StartSession',
        data: {
          sessionId: 'ses_gone',
          tenant: person.home,
          login: session,
          amr: [],
          authenticatedAt: Date.now(),
          expiresAt: Date.now() + 3_600_000,
          client: 'cli',
        },
      })
      await toUser(person.userId, { type: 'EraseUser', data: {} })
      await eventually(async () => expect(await userOfAddress(reads(), person.address)).toBeUndefined(), {
        timeoutMs: 20_000,
      })
      await eventually(
        async () => {
          const { rows } = await world
            .parts()
            .pool.query('SELECT wrapped FROM subject_keys WHERE subject = $1', [person.userId])
          expect(rows).toEqual([{ wrapped: null }])
        },
        { timeoutMs: 20_000 },
      )
      expect(await getSession(reads(), person.userId, 'ses_gone')).toMatchObject({ endedWhy: 'erased' })
      // another process, which remembers nothing
      const { kms, digestKey } = readConfig(world.parts().env)
      const elsewhere = createPersonalData({
        kms: kmsOf(kms),
        keys: createSubjectKeys(world.parts().pool),
        digestKey,
        nowMs: Date.now,
      })
      expect(await elsewhere.open(sealed)).toBeUndefined()
      const after = await somebody()
      expect((await call(after.at(after.home), 'GET', '/v1/members')).status).toBe(200)
    })
  })
}
