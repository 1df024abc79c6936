import { eventually } from '@omium/dev/testing'
import { describe, expect, it } from 'vitest'
import type { As, IdentityWorld, Proofs, Somebody } from './world.ts'

/** Fresh proofs for what is sensitive, and second factors that a tenant demands. */
export const stepUpSpecs = (world: IdentityWorld) => {
  const { call, somebody, toUser, join } = world

  describe('what is sensitive', () => {
    const longAgo = () => Date.now() - 11 * 60_000
    const within = { timeoutMs: 20_000 }
    /** Gives them an authenticator app, as the log has it. */
    const enrol = async ({ userId, address, home }: Somebody) => {
      const sealed = await world.parts().personalData.seal(userId, 'app')
      const sessionId = `ses_of_${userId}`
      await toUser(userId, {
        type: 'StartSession',
        data: {
          sessionId,
          tenant: home,
          login: { method: 'magic_link', issuer: 'omium', subject: address },
          amr: ['email'],
          authenticatedAt: Date.now(),
          expiresAt: Date.now() + 3_600_000,
          client: 'browser',
        },
      })
      await toUser(userId, {
        type: 'AddFactor',
        data: {
          factorId: 'fac_app',
          kind: 'totp',
          label: sealed,
          material: sealed,
          proof: { kind: 'totp', factorId: 'fac_app', step: 1 },
          sessionId,
          amr: ['otp'],
          recoveryCodes: Array.from({ length: 10 }, (_, index) => String(index).repeat(64)),
        },
      })
    }

    it('asks people for a fresh proof, of a second factor where they have one, and keys for nothing', async () => {
      const person = await somebody()
      const as = (proofs: Proofs): As => ({ person: `${person.home}/${person.userId}`, proofs })
      const create = (who: As) =>
        call(who, 'POST', '/v1/keys', { name: 'x', scopes: { permissions: ['executions:read', 'keys:write'] } })
      expect(await create(as({ authenticatedAt: longAgo() }))).toMatchObject({
        status: 401,
        body: { code: 'step_up_required', accepts: ['sign_in'] },
      })
      expect((await create(as({ authenticatedAt: 0 }))).body).toMatchObject({ code: 'step_up_required' })
      const created = await create(as({}))
      expect(created.status).toBe(201)
      // what is not sensitive goes on
      expect((await call(as({ authenticatedAt: 0 }), 'GET', '/v1/keys')).status).toBe(200)

      await enrol(person)
      await eventually(
        async () =>
          expect(await create(as({}))).toMatchObject({
            status: 401,
            body: { code: 'step_up_required', accepts: ['totp', 'recovery_code'] },
          }),
        { timeoutMs: 20_000 },
      )
      expect((await create(as({ mfaAt: longAgo() }))).status).toBe(401)
      expect((await create(as({ authenticatedAt: 0, mfaAt: Date.now() }))).status).toBe(201)
      expect((await create({ key: created.body.key })).status).toBe(201)
      // the same for what tells secrets of webhooks
      for (const [path, body] of [
        ['', { url: 'https://a.example/', types: ['execution.failed'] }],
        ['/whk_x/rotate', {}],
      ] as const) {
        const refused = await call(as({ mfaAt: longAgo() }), 'POST', `/v1/webhooks${path}`, body)
        expect(refused.body).toMatchObject({ code: 'step_up_required' })
      }
    })

    it('a tenant that demands a second factor is closed to members without one, within seconds; keys go on', async () => {
      const [owner, guest] = [await somebody(), await somebody()]
      const tenant = owner.home
      const asOwner: As = { person: `${tenant}/${owner.userId}`, proofs: { mfaAt: Date.now() } }
      await join(owner.at(tenant), tenant, guest, 'developer')
      const key = await call(owner.at(tenant), 'POST', '/v1/keys', {
        name: 'x',
        scopes: { permissions: ['executions:read'] },
      })
      const inside = guest.at(tenant)
      await eventually(async () => expect((await call(inside, 'GET', '/v1/executions')).status).toBe(200), within)
      const demand = (by: As, mfaRequired: boolean) => call(by, 'PATCH', '/v1/tenant', { mfaRequired })
      expect((await demand(inside, true)).status).toBe(403)
      // nobody locks themselves out
      expect((await demand(owner.at(tenant), true)).body).toMatchObject({ code: 'mfa_enrolment_required' })
      await enrol(owner)
      await eventually(async () => expect((await demand(asOwner, true)).status).toBe(200), { timeoutMs: 20_000 })
      expect((await call(asOwner, 'GET', '/v1/tenant')).body).toMatchObject({ mfaRequired: true })
      const refusedWith = (code: string) =>
        eventually(
          async () => expect((await call(inside, 'GET', '/v1/executions')).body).toMatchObject({ code }),
          within,
        )
      await refusedWith('mfa_enrolment_required')
      expect((await call(inside, 'GET', '/v1/me')).status).toBe(403)
      // nowhere else
      expect((await call(guest.at(guest.home), 'GET', '/v1/executions')).status).toBe(200)
      expect((await call({ key: key.body.key }, 'GET', '/v1/executions')).status).toBe(200)
      await enrol(guest)
      await refusedWith('step_up_required')
      const proved: As = { person: `${tenant}/${guest.userId}`, proofs: { mfaAt: longAgo() } }
      expect((await call(proved, 'GET', '/v1/executions')).status).toBe(200)
      expect((await demand(asOwner, false)).status).toBe(200)
      await eventually(async () => expect((await call(inside, 'GET', '/v1/executions')).status).toBe(200), within)
    })
  })
}
