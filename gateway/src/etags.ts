import { hash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'

export const unchanged = z.undefined()

/**
 * Every read of a known caller has an `etag`, and `if-none-match` is answered with 304 while nothing has changed: whoever polls
 * hears no more than that. Most are made of what is answered; where the answer is costly to make, the route asks beforehand
 * ({@link isUnchanged}).
 */
const opaque = (tag: string): string => tag.trim().replace(/^W\//, '')

const isKnown = (request: FastifyRequest, tag: string): boolean =>
  (request.headers['if-none-match'] ?? '').split(',').some((one) => one.trim() === '*' || opaque(one) === opaque(tag))

/**
 * Sets the answer's `etag` and says whether the caller has it already (RFC 9110, 13.1.2: weak comparison). Asked before what
 * is costly to read is read.
 * @param version changes whenever what is shown does
 */
export const isUnchanged = (request: FastifyRequest, reply: FastifyReply, version: string): boolean => {
  const tag = `W/"${version}"`
  reply.header('etag', tag).header('cache-control', 'private, no-cache')
  return isKnown(request, tag)
}

export const installEtags = (app: FastifyInstance): void => {
  app.addHook('onSend', async (request, reply, payload) => {
    const { reads } = request.routeOptions.config
    if (!reads || reply.statusCode !== 200 || typeof payload !== 'string' || reply.hasHeader('etag')) return payload
    const tag = `W/"${hash('sha1', payload, 'base64url')}"`
    reply.header('etag', tag)
    if (!isKnown(request, tag)) return payload
    reply.status(304).removeHeader('content-type').removeHeader('content-length')
    return null
  })
}
