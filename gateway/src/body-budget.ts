import { OmiumError } from '@omium/schemas'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/**
 * Bodies are held whole, several times over, while they are read and stored. Of large ones so many bytes are under way at a time, at
 * this process and of one tenant, so that none can fill its memory, or keep the others' out.
 */
const megabyte = 1024 * 1024
/** what is smaller does not count */
const smallBytes = megabyte
export const bodyBudget = { ofAll: 256 * megabyte, ofTenant: 144 * megabyte } as const

/** How many bytes come, at most: whoever does not say it may send as many as the route takes. */
const bytesOf = ({ headers, routeOptions: { bodyLimit = 0 } }: FastifyRequest): number => {
  if (headers['transfer-encoding'] !== undefined) return bodyLimit
  return Math.min(Number(headers['content-length'] ?? 0), bodyLimit)
}

/** To be installed after what finds the caller. */
export const installBodyBudget = (app: FastifyInstance, { ofAll, ofTenant } = bodyBudget): void => {
  let all = 0
  const held = new Map<string, number>()
  app.addHook('preParsing', async (request, reply) => {
    const bytes = bytesOf(request)
    if (bytes <= smallBytes) return
    const tenant = request.caller?.tenant ?? ''
    const mine = held.get(tenant) ?? 0
    if (mine + bytes > ofTenant)
      throw new OmiumError(
        'rate_limited',
        'too many large requests of the tenant are under way; send this one when one has ended',
      )
    if (all + bytes > ofAll)
      throw new OmiumError('unavailable', 'too many large requests are under way; try again shortly')
    all += bytes
    held.set(tenant, mine + bytes)
    const giveBack = () => {
      all -= bytes
      const left = (held.get(tenant) ?? 0) - bytes
      if (left > 0) held.set(tenant, left)
      else held.delete(tenant)
    }
    if (reply.raw.destroyed) giveBack()
    else reply.raw.once('close', giveBack)
  })
}
