import { isUtf8 } from 'node:buffer'
import { OmiumError } from '@omium/schemas'
import type { FastifyInstance } from 'fastify'

/** deeper values would overflow the stack of whoever walks over them, here or in any consumer */
const deepest = 1_000

const [quote, backslash, openList, closeList, openObject, closeObject] = Buffer.from('"\\[]{}') as unknown as number[]

/** The nesting of lists and objects, seen without parsing. */
export const isTooDeep = (json: Uint8Array, limit = deepest): boolean => {
  if (json.length <= limit) return false
  let depth = 0
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]
    if (inString) {
      if (byte === backslash) i++
      else if (byte === quote) inString = false
    } else if (byte === quote) inString = true
    else if (byte === openList || byte === openObject) {
      if (++depth > limit) return true
    } else if (byte === closeList || byte === closeObject) depth--
  }
  return false
}

/** @throws OmiumError `invalid_json` for a value that is nested too deeply */
export const requireFlat = (json: Uint8Array): void => {
  if (isTooDeep(json)) throw new OmiumError('invalid_json', `the body is nested deeper than ${deepest} levels`)
}

/** JSON bodies: UTF-8, of bounded depth. `content-type: application/json` with nothing after it is how many clients send none. */
export const installJsonBodies = (app: FastifyInstance): void => {
  // values are the caller's own: a member `__proto__` is data like any other, and is never assigned to an object here
  const parse = app.getDefaultJsonParser('ignore', 'ignore')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    if (body.length === 0) return done(null, undefined)
    if (!isUtf8(body)) return done(new OmiumError('invalid_json', 'the body is not UTF-8'))
    try {
      requireFlat(body)
    } catch (error) {
      return done(error as Error)
    }
    return parse(request, body.toString(), done)
  })
}
