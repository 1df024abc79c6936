import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, isIPv6, type LookupFunction } from 'node:net'
import { OmiumError } from '@omium/schemas'
import { createAddressRules, type EgressRules } from './addresses.ts'
import { createResolver, type Resolve } from './resolve.ts'
import { isPlain, judgeLiteral, readTarget, refused, type Target } from './target.ts'

/**
 * HTTP to addresses that somebody else chose.
 *
 * 1. A name is resolved once. Every address that it has is judged, one bad one refuses them all, and the connection goes to a
 *    judged address: there is no second look-up that could answer otherwise.
 * 2. A redirect is a new URL: read, resolved and judged like the first.
 * 3. Time is bounded as a whole (names, connections, redirects, bodies), the answer by its bytes.
 * 4. Nothing from the environment (proxies, relaxed certificate checks) changes where a request goes or whom it trusts.
 * 5. A connection serves one request, so a judged address is never older than the request.
 * 6. What is told about a refused name does not say what it resolves to.
 */
export interface SafeRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** for everything together. Default 10,000 */
  readonly timeoutMs?: number
  /** of the answer's body. Default 1 MiB */
  readonly maxBytes?: number
  /** what becomes of a longer answer: an error, or its beginning. Default `refuse` */
  readonly tooLong?: 'refuse' | 'truncate'
  /** how many are followed, by GET and HEAD only; other answers 3xx are given as they are. Default 0 */
  readonly redirects?: number
  readonly signal?: AbortSignal
}

export interface SafeAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** not decompressed: none is asked for */
  readonly body: Buffer
  readonly truncated: boolean
  /** where it came from, after redirects */
  readonly url: string
}

/** @throws OmiumError `address_refused` (nothing was sent there), `outside_failed` (retryable) */
export type SafeFetch = (url: string, request?: SafeRequest) => Promise<SafeAnswer>

interface Exchange extends SafeRequest {
  readonly method: NonNullable<SafeRequest['method']>
  readonly maxBytes: number
  readonly signal: AbortSignal
}

const redirecting = new Set([301, 302, 303, 307, 308])
const longestHeaders = 16_384

const failed = (detail: string, cause?: unknown): OmiumError => new OmiumError('outside_failed', detail, { cause })
const reason = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? (error as Error).message

export const createSafeFetch = (rules: EgressRules, resolve: Resolve = createResolver()): SafeFetch => {
  const judge = createAddressRules(rules)

  /** the addresses of a target, all judged */
  const addressesOf = async (target: Target, signal: AbortSignal): Promise<readonly string[]> => {
    judgeLiteral(target, judge)
    if (isIP(target.host) !== 0) return [target.host]
    const addresses = await resolve(target.host, signal).catch((error: unknown) => {
      throw failed(`${target.host} could not be resolved: ${reason(error)}`, error)
    })
    for (const address of addresses) {
      const why = judge.refusal(address, target.port)
      if (why !== undefined) throw refused(`${target.host}: ${why}`)
    }
    return addresses
  }

  return async (text, request = {}) => {
    const { method = 'GET', timeoutMs = 10_000, maxBytes = 1_048_576, redirects = 0 } = request
    const deadline = AbortSignal.timeout(timeoutMs)
    const signal = request.signal ? AbortSignal.any([deadline, request.signal]) : deadline
    const follows = method === 'GET' || method === 'HEAD'
    let exchange: Exchange = { ...request, method, maxBytes, signal }
    let target = readTarget(text, rules)
    try {
      for (let followed = 0; ; followed++) {
        const answer = await ask(target, await addressesOf(target, signal), exchange)
        const { location } = answer.headers
        if (!follows || redirects === 0 || !redirecting.has(answer.status) || location === undefined) return answer
        if (followed === redirects) throw failed(`${target.host} redirects more than ${redirects} times`)
        const next = readTarget(redirectedTo(location, target.url), rules)
        // what was meant for one origin, credentials above all, is not told to another
        if (next.url.origin !== target.url.origin) exchange = { ...exchange, headers: {} }
        target = next
      }
    } catch (error) {
      if (deadline.aborted) throw failed(`${target.host} did not answer within ${timeoutMs} ms`, error)
      throw error instanceof OmiumError ? error : failed(`${target.host}: ${reason(error)}`, error)
    }
  }
}

const redirectedTo = (location: string, from: URL): string => {
  if (!isPlain(location)) throw refused('a redirect leads to what is not a plain URL')
  if (/^[a-z][a-z0-9+.-]*:/i.test(location)) return location
  return location.startsWith('//') ? `${from.protocol}${location}` : new URL(location, from).href
}

/** One request on a connection of its own, to one of `addresses`. */
const ask = ({ url, host, port }: Target, addresses: readonly string[], exchange: Exchange): Promise<SafeAnswer> => {
  const { method, headers = {}, body, maxBytes, tooLong = 'refuse', signal } = exchange
  const judged = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }))
  const lookup: LookupFunction = (_name, options, answer) => {
    const [first] = judged
    if (options.all) answer(null, judged)
    else answer(first ? null : new Error('no address'), first?.address ?? '', first?.family)
  }
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const outgoing = send(
      {
        hostname: host,
        port,
        path: `${url.pathname}${url.search}`,
        method,
        headers: {
          ...headers,
          host: url.host,
          'accept-encoding': 'identity',
          ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
        },
        lookup,
        // an agent of its own: the shared one may be told of proxies by the environment
        agent: false,
        rejectUnauthorized: true,
        maxHeaderSize: longestHeaders,
        signal,
      },
      (incoming) => {
        if ((incoming.statusCode ?? 0) < 200) return void outgoing.destroy(new Error('the answer is an upgrade'))
        const chunks: Buffer[] = []
        let bytes = 0
        const end = (truncated: boolean) => {
          const { statusCode: status = 0, headers: given } = incoming
          resolve({ status, headers: given, body: Buffer.concat(chunks), truncated, url: url.href })
        }
        incoming.on('data', (chunk: Buffer) => {
          const room = maxBytes - bytes
          bytes += chunk.length
          if (chunk.length <= room) return void chunks.push(chunk)
          chunks.push(chunk.subarray(0, Math.max(room, 0)))
          if (tooLong === 'truncate') end(true)
          else reject(failed(`${host} answers with more than ${maxBytes} bytes`))
          incoming.destroy()
        })
        incoming.on('end', () => end(false))
        incoming.on('error', reject)
      },
    )
    outgoing.on('error', reject)
    // whatever ends in neither of the above
    outgoing.on('close', () => reject(new Error('the connection closed without an answer')))
    outgoing.end(body)
  })
}
