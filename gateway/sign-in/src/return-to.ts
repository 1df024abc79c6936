import { OmiumError } from '@omium/schemas'
import { z } from 'zod'

/** Where people land when nothing else was asked for. */
export const defaultReturnTo = '/auth/session'
/** Where people let programs in. */
export const devicePage = '/auth/device'
/** Where people see to their second factors. */
export const factorsPath = '/auth/factors'
/** Where people see in which browsers and programs they are signed in. */
export const sessionsPath = '/auth/sessions'

/** No scheme, no host, nothing that a browser reads as one: `//`, a backslash, control characters. */
const relativePath = /^\/(?![/\\])[^\\\p{Cc}\s]*$/u
const anywhere = 'http://return-to.invalid'

/** The path as a browser resolves it, in ASCII, if it lies under one of the prefixes then. */
const resolved = (path: string, prefixes: readonly string[]): string | undefined => {
  if (path.length > 2000 || !relativePath.test(path)) return undefined
  const { origin, pathname, search, hash } = new URL(path, anywhere)
  if (origin !== anywhere || pathname.startsWith('//')) return undefined
  const lies = prefixes.some(
    (prefix) => pathname === prefix || pathname.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`),
  )
  return lies ? `${pathname}${search}${hash}` : undefined
}

/**
 * The path of this installation to go to after signing in. Only relative ones under the allowed prefixes: a link to the sign-in
 * page must not be a way to anybody else's site. What is checked is what is gone to, resolved.
 * @throws OmiumError `invalid_request`
 */
export const checkReturnTo = (path: string | undefined, prefixes: readonly string[]): string => {
  if (path === undefined || path === '') return defaultReturnTo
  const landing = resolved(path, [...prefixes, defaultReturnTo, devicePage, factorsPath, sessionsPath])
  if (landing === undefined)
    throw new OmiumError('invalid_request', 'return_to: expected a path of this site that is open to sign-in')
  return landing
}

export const returnToParam = z.string().max(2000).optional()
