import type { SafeFetch } from '@omium/safe-fetch'
import type { CustomFetch } from 'openid-client'

const mostBytes = 1_048_576

/** Calls to identity providers that tenants name: to addresses that may be called only, without redirects. */
export const outgoingTo =
  (safeFetch: SafeFetch): CustomFetch =>
  async (url, { method, headers, body, signal }) => {
    const answer = await safeFetch(url, {
      method: method as 'GET' | 'POST',
      headers: { ...headers },
      ...(body != null && { body: typeof body === 'string' ? body : String(body) }),
      ...(signal && { signal }),
      maxBytes: mostBytes,
    })
    const told = Object.entries(answer.headers).flatMap(([name, value]) =>
      value === undefined ? [] : [value].flat().map((one): [string, string] => [name, one]),
    )
    const bodiless = answer.status === 204 || answer.status === 304
    return new Response(bodiless ? null : answer.body.toString('utf8'), { status: answer.status, headers: told })
  }
