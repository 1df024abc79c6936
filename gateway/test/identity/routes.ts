import { eventually } from '@omium/dev/testing'
import { type Permission, permissions, rolePermissions, roles } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import type { As, IdentityWorld } from './world.ts'

/** What every route asks for, whoever asks. */
export const routeSpecs = (world: IdentityWorld) => {
  const { call, local, somebody, join } = world

  describe('every route', () => {
    const urlOf = (url: string) => url.replace(/:(\w+)/g, (_, name) => (name === 'version' ? '1' : 'none'))
    const rules = () => world.parts().gateway.rules.filter(({ method }) => !['HEAD', 'OPTIONS'].includes(method))
    /** whether the guard let it through; what the route made of it is of no interest here */
    const passes = async (as: As, method: string, url: string) => {
      const { status, body } = await call(as, method, urlOf(url), undefined, world.parts().hasty)
      // who may do it is found out before they are asked for more proof
      if (status === 401) return body.code === 'step_up_required'
      return !(status === 403 && /needs the permission/.test(body.detail))
    }
    const expected = (needed: Permission | 'authenticated' | readonly Permission[], held: readonly Permission[]) =>
      needed === 'authenticated' || [needed].flat().some((one) => held.includes(one as Permission))

    const check = async (as: As, held: readonly Permission[]) => {
      const wrong: string[] = []
      // leaving needs nobody's leave; for others the route itself asks
      const own = rules().filter(({ method, url }) => !(method === 'DELETE' && url === '/v1/members/:userId'))
      await Promise.all(
        own.map(async ({ method, url, permission }) => {
          if (permission === undefined) return
          if ((await passes(as, method, url)) !== expected(permission, held)) wrong.push(`${method} ${url}`)
        }),
      )
      expect(wrong).toEqual([])
    }

    it('says what it needs', () => {
      expect(rules().length).toBeGreaterThan(70)
      // whoever signs in is unknown until then
      const signIn = /^\/(auth|\.well-known)\//
      const open = rules().filter(
        ({ permission, url }) => permission === undefined && !signIn.test(url) && !/^\/docs(\/|$)/.test(url),
      )
      expect(open.map(({ url }) => url).sort()).toEqual([
        '/health',
        '/metrics',
        '/openapi.json',
        '/ready',
        '/v1/hooks/:tenant/:id',
      ])
    })

    it('that checks a secret, or sends something to somebody, is asked a few times by one address', () => {
      const sensitive = rules().flatMap(({ method, url, limit }) => (limit === 'sensitive' ? [`${method} ${url}`] : []))
      expect(sensitive).toEqual(
        expect.arrayContaining([
          'GET /auth/providers/:provider/start',
          'GET /auth/providers/:provider/callback',
          'POST /auth/refresh',
        ]),
      )
    })

    it('is open to nobody unknown', async () => {
      await Promise.all(
        rules().map(async ({ method, url, permission }) => {
          if (permission === undefined) return
          expect(await call(null, method, urlOf(url)), `${method} ${url}`).toMatchObject({ status: 401 })
        }),
      )
    })

    it('asks for its permission: members of every role', async () => {
      const owner = await somebody()
      for (const role of roles) {
        const member = role === 'owner' ? owner : await somebody()
        if (role !== 'owner') await join(owner.at(owner.home), owner.home, member, role)
        const as = member.at(owner.home)
        await eventually(async () => expect((await call(as, 'GET', '/v1/me')).body.role).toBe(role), {
          timeoutMs: 20_000,
        })
        // with a proof that is too old for what is sensitive: nobody is erased here
        const asOfOld: As = { person: `${owner.home}/${member.userId}`, proofs: { authenticatedAt: 0 } }
        await check(asOfOld, rolePermissions[role])
      }
    })

    it('asks for its permission: keys with a single one', async () => {
      for (const permission of permissions) {
        const { body } = await call(local, 'POST', '/v1/keys', {
          name: permission,
          scopes: { permissions: [permission] },
        })
        await check({ key: body.key }, [permission])
      }
    })

    it("finds nothing of another tenant's", async () => {
      const [owner, other, guest] = [await somebody(), await somebody(), await somebody()]
      const asOwner = owner.at(owner.home)
      const key = await call(asOwner, 'POST', '/v1/keys', { name: 'k', scopes: { permissions: ['keys:read'] } })
      const invitation = await call(asOwner, 'POST', '/v1/invitations', { email: guest.email, role: 'viewer' })
      const idOf: Record<string, string> = { keys: key.body.id, members: owner.userId, invitations: invitation.body.id }
      const stranger = other.at(other.home)
      for (const { method, url } of rules()) {
        const [, resource] = /^\/v1\/(keys|members|invitations)\b/.exec(url) ?? []
        if (!resource || url === '/v1/keys/verify') continue
        const path = url.replace(/:\w+/, idOf[resource] as string)
        const body = method === 'PATCH' ? { role: 'viewer' } : undefined
        if (url.includes(':'))
          expect(await call(stranger, method, path, body), `${method} ${url}`).toMatchObject({ status: 404 })
        else if (method === 'GET') {
          const { items } = (await call(stranger, method, path)).body
          expect(JSON.stringify(items)).not.toContain(idOf[resource])
        }
      }
      // it is all still there
      expect((await call(asOwner, 'GET', `/v1/keys/${key.body.id}`)).body.status).toBe('live')
      expect((await call(asOwner, 'GET', '/v1/members')).body.items).toMatchObject([{ role: 'owner' }])
      // a key of one tenant is nothing in another, and a session in a tenant without membership may do nothing
      expect((await call(other.at(owner.home), 'GET', '/v1/keys')).status).toBe(403)
    })
  })
}
