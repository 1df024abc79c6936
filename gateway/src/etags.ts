import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'

export const unchanged = z.undefined().describe('What `if-none-match` names is still current')

const opaque = (tag: string): string => tag.trim().replace(/^W\//, '')

/**
 * Sets the answer's `etag` and says whether the caller has it already (RFC 9110, 13.1.2: weak comparison). Asked before what
 * is costly to read is read.
 * @param version changes whenever what is shown does
 */
export const isUnchanged = (request: FastifyRequest, reply: FastifyReply, version: string): boolean => {
  const tag = `W/"${version}"`
  reply.header('etag', tag).header('cache-control', 'private, no-cache')
  const known = request.headers['if-none-match']
  return (known ?? '').split(',').some((one) => one.trim() === '*' || opaque(one) === opaque(tag))
}
