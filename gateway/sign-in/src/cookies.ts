import { parseCookie, stringifySetCookie } from 'cookie'
import type { FastifyReply } from 'fastify'

type CookieName = 'access' | 'refresh' | 'browser' | 'provider' | 'pending' | 'ceremony' | 'sso'

/**
 * The cookies of sign-in: host-only, out of scripts' reach. Over https they carry the prefix `__Host-`, so that no sibling
 * domain and no plain-text attacker can plant one. `refresh` is only sent by our own pages; the others have to come along when
 * a mail or a provider leads back here.
 */
export interface Cookies {
  read(header: string | string[] | undefined, name: CookieName): string | undefined
  set(reply: FastifyReply, name: CookieName, value: string, livesMs: number): void
  clear(reply: FastifyReply, ...names: readonly CookieName[]): void
}

const mostBytes = 8192

export const createCookies = (publicUrl: string): Cookies => {
  const secure = new URL(publicUrl).protocol === 'https:'
  const nameOf = (name: CookieName) => `${secure ? '__Host-' : ''}omium_${name}`
  const put = (reply: FastifyReply, name: CookieName, value: string, livesMs: number) =>
    reply.header(
      'set-cookie',
      stringifySetCookie({
        name: nameOf(name),
        value,
        path: '/',
        httpOnly: true,
        secure,
        sameSite: name === 'refresh' ? 'strict' : 'lax',
        maxAge: Math.floor(livesMs / 1000),
      }),
    )
  return {
    read: (header, name) =>
      typeof header === 'string' && header.length <= mostBytes ? parseCookie(header)[nameOf(name)] : undefined,
    set: put,
    clear: (reply, ...names) => {
      for (const name of names) put(reply, name, '', 0)
    },
  }
}
