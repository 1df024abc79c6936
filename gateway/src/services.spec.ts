import type { Caller, Policies } from '@omium/access'
import { OmiumError } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import { expect, it } from 'vitest'
import { isStillAllowed, type Services } from './services.ts'

it('what lasts long ends when a policy begins to forbid it', async () => {
  const state = { forbids: false }
  const caller = { permissions: new Set(['executions:read']) } as unknown as Caller
  const policies: Pick<Policies, 'require'> = {
    require: () => {
      if (state.forbids) throw new OmiumError('policy_denied', 'after hours')
    },
  }
  const services = { apiKeys: { lookup: async () => caller }, policies } as unknown as Services
  const request = { headers: { authorization: 'Bearer om_x' }, ip: '127.0.0.1' } as FastifyRequest
  expect(await isStillAllowed(services, request)).toBe(true)
  state.forbids = true
  expect(await isStillAllowed(services, request)).toBe(false)
})
