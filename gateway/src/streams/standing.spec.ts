import type { Caller } from '@omium/access'
import { OmiumError } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import { expect, it } from 'vitest'
import type { Services } from '../services.ts'
import { askAgain } from './standing.ts'

it('what lasts ends when it could not begin any more, and not for what is away', async () => {
  const caller = { permissions: new Set(['executions:read']) } as unknown as Caller
  const state: { caller: Caller; error: Error | undefined; forbids: boolean } = {
    caller,
    error: undefined,
    forbids: false,
  }
  const lookup = async () => {
    if (state.error) throw state.error
    return state.caller
  }
  const require = () => {
    if (state.forbids) throw new OmiumError('policy_denied', 'after hours')
  }
  const services = { apiKeys: { lookup }, policies: { require } } as unknown as Services
  const request = {
    headers: { authorization: 'Bearer om_x' },
    ip: '127.0.0.1',
    routeOptions: { config: { permission: 'executions:read' } },
  } as unknown as FastifyRequest
  const ask = () => askAgain(services, request)

  expect(await ask()).toBe(caller)
  state.forbids = true
  await expect(ask()).rejects.toMatchObject({ code: 'policy_denied' })
  state.forbids = false
  // a role that may not read
  state.caller = { permissions: new Set(['billing:read']) } as unknown as Caller
  await expect(ask()).rejects.toMatchObject({ code: 'forbidden' })
  state.caller = caller
  state.error = new Error('connect ECONNREFUSED')
  expect(await ask()).toBeUndefined()
  // rights have changed, and the read model does not know how
  state.error = new OmiumError('unavailable', 'try again')
  await expect(ask()).rejects.toMatchObject({ code: 'unavailable' })
})
