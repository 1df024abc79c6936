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

/** Whether the path lies under one of the prefixes once it is resolved as a browser does it. */
const lies = (path: string, prefixes: readonly string[]): boolean => {
  if (path.length > 2000 || !relativePath.test(path)) return false
  const { origin, pathname } = new URL(path, anywhere)
  if (origin !== anywhere || pathname.startsWith('//')) return false
  return prefixes.some(
    (prefix) => pathname === prefix || pathname.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`),
  )
}

/**
 * The path of this installation to go to after signing in. Only relative ones under the allowed prefixes: a link to the sign-in
 * page must not be a way to anybody else's site.
 * @throws OmiumError `invalid_request`
 */
export const checkReturnTo = (path: string | undefined, prefixes: readonly string[]): string => {
  if (path === undefined || path === '') return defaultReturnTo
  if (!lies(path, [...prefixes, defaultReturnTo, devicePage, factorsPath, sessionsPath]))
    throw new OmiumError('invalid_request', 'return_to: expected a path of this site that is open to sign-in')
  return path
}

export const returnToParam = z.string().max(2000).optional()
