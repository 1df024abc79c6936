import { OmiumError, refusalOf } from '@omium/schemas'
import { createParser } from 'eventsource-parser'
import { Agent, type Dispatcher, request } from 'undici'
import type { WireEvent, WireRequest } from '../dialects/dialect.ts'
import type { Provider } from '../registry/registry.ts'
import type { Timeouts } from '../registry/settings.ts'

/**
 * Requests to providers over kept connections.
 *
 * 1. Everything is bounded: connecting, the first byte, the pause between bytes, the whole time (the caller's signal), the
 *    size of an answer.
 * 2. Redirects are not followed: a key goes to the configured host and nowhere else.
 * 3. Whatever goes wrong is one of `model_overloaded` (it may work later), `model_malformed` (what came is not an answer), or
 *    what the provider's refusal says.
 */
export interface SendOptions {
  readonly timeouts: Timeouts
  readonly maxAnswerBytes: number
  readonly signal: AbortSignal
  readonly idempotencyKey?: string | undefined
}

export interface Transport {
  /** the JSON of a good answer. @throws OmiumError `model_*`, `invalid_request` */
  json(provider: Provider, wire: WireRequest, options: SendOptions): Promise<unknown>
  /**
   * The events of a good answer, those together that came together; begun when this resolves.
   * @throws as `json`, also while it is read
   */
  events(
    provider: Provider,
    wire: WireRequest,
    options: SendOptions,
  ): Promise<AsyncGenerator<readonly WireEvent[], void>>
  close(): Promise<void>
}

/** refusals are short; what comes after is not read */
const refusalBytes = 64 * 1024

const codeOf = (error: unknown): string => {
  const { code, name, cause } = error as { code?: string; name?: string; cause?: unknown }
  return code ?? (cause ? codeOf(cause) : (name ?? 'unknown error'))
}

const failed = (provider: Provider, error: unknown, signal: AbortSignal): unknown => {
  if (signal.aborted) return signal.reason
  if (error instanceof OmiumError) return error
  const code = codeOf(error)
  if (code.startsWith('HPE_') || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH')
    return new OmiumError('model_malformed', `${provider.name} does not answer in HTTP: ${code}`, { cause: error })
  return new OmiumError('model_overloaded', `${provider.name} cannot be reached or broke off: ${code}`, {
    cause: error,
  })
}

const headersOf = (headers: Dispatcher.ResponseData['headers']): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]))

export const createTransport = (nowMs: () => number): Transport => {
  // one for each time limit of connecting, which is all that cannot be said for a single request
  const agents = new Map<number, Agent>()
  const agentOf = (connectMs: number): Agent => {
    const known = agents.get(connectMs)
    if (known) return known
    const agent = new Agent({ connect: { timeout: connectMs }, keepAliveTimeout: 30_000, connections: 512 })
    agents.set(connectMs, agent)
    return agent
  }

  const send = async (
    provider: Provider,
    { path, query, body }: WireRequest,
    { timeouts, signal, idempotencyKey }: SendOptions,
    accept: string,
  ): Promise<Dispatcher.ResponseData> => {
    const url = `${provider.baseUrl}${path}${query ? `?${new URLSearchParams(query)}` : ''}`
    let response: Dispatcher.ResponseData
    try {
      response = await request(url, {
        method: 'POST',
        dispatcher: agentOf(timeouts.connectMs),
        headers: {
          'content-type': 'application/json',
          accept,
          'user-agent': 'omium',
          ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
          ...provider.headers,
        },
        body: JSON.stringify(body),
        headersTimeout: timeouts.firstByteMs,
        bodyTimeout: timeouts.idleMs,
        signal,
      })
    } catch (error) {
      throw failed(provider, error, signal)
    }
    if (response.statusCode >= 200 && response.statusCode < 300) return response
    const text = await head(response.body)
    throw refusalOf({ status: response.statusCode, headers: headersOf(response.headers), body: text }, nowMs())
  }

  /** the beginning of a body, as far as it comes */
  const head = async (body: Dispatcher.ResponseData['body']): Promise<string> => {
    const parts: Buffer[] = []
    let bytes = 0
    try {
      for await (const part of body as AsyncIterable<Buffer>) {
        parts.push(part)
        bytes += part.length
        if (bytes > refusalBytes) break
      }
    } catch {
      // the status says enough
    }
    return Buffer.concat(parts).subarray(0, refusalBytes).toString('utf8')
  }

  /** the parts of a body. @throws OmiumError `model_malformed` past the limit */
  const bounded = async function* (
    provider: Provider,
    response: Dispatcher.ResponseData,
    { maxAnswerBytes, signal }: SendOptions,
  ): AsyncGenerator<Buffer, void> {
    let bytes = 0
    try {
      for await (const part of response.body as AsyncIterable<Buffer>) {
        bytes += part.length
        if (bytes > maxAnswerBytes)
          throw new OmiumError('model_malformed', `${provider.name} sent more than ${maxAnswerBytes} bytes`)
        yield part
      }
    } catch (error) {
      throw failed(provider, error, signal)
    }
  }

  return {
    async json(provider, wire, options) {
      const response = await send(provider, wire, options, 'application/json')
      const parts: Buffer[] = []
      for await (const part of bounded(provider, response, options)) parts.push(part)
      const text = Buffer.concat(parts).toString('utf8')
      try {
        return JSON.parse(text) as unknown
      } catch (cause) {
        throw new OmiumError('model_malformed', `${provider.name} sent an answer that is not JSON`, { cause })
      }
    },

    async events(provider, wire, options) {
      const response = await send(provider, wire, options, 'text/event-stream')
      const type = headersOf(response.headers)['content-type'] ?? ''
      if (!type.includes('event-stream')) {
        const text = await head(response.body)
        throw new OmiumError(
          'model_malformed',
          `${provider.name} was asked for a stream and sent ${type || 'something without a content type'}${text ? '' : ', empty'}`,
        )
      }
      return (async function* () {
        const waiting: WireEvent[] = []
        const parser = createParser({ onEvent: ({ event, data }) => waiting.push({ event, data }) })
        const decoder = new TextDecoder()
        for await (const part of bounded(provider, response, options)) {
          parser.feed(decoder.decode(part, { stream: true }))
          if (waiting.length > 0) yield waiting.splice(0)
        }
        // a last event without its empty line still counts: it is whole as far as it goes
        parser.feed('\n\n')
        if (waiting.length > 0) yield waiting.splice(0)
      })()
    },

    async close() {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()))
    },
  }
}
