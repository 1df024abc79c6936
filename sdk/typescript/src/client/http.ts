import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type JsonValue, OmiumError, problem, readSettings } from '@omium/schemas'
import { WebSocket } from 'ws'
import { z } from 'zod'
import type { Operations } from './generated/operations.ts'

export interface ConnectionOptions {
  /** base URL of the gateway; `OMIUM_URL`, else http://localhost:8080 */
  url?: string
  /** `OMIUM_API_KEY` unless given */
  apiKey?: string
  /** in place of a key, for people who are signed in: the access token of their session, asked for before each request */
  accessToken?: () => Promise<string>
  /** base URL of the model gateway, which `models()` asks; `OMIUM_MODELS_URL` unless given */
  modelsUrl?: string
  fetch?: typeof fetch
}

export interface HttpRequest {
  body?: unknown
  /** a list stands for the member several times */
  query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>
  signal?: AbortSignal
  timeoutMs?: number
  accept?: string
  headers?: Readonly<Record<string, string>>
  /** of another server of the platform that takes the same credentials */
  baseUrl?: string
}

/** What an operation of the API takes. */
export type Call<O extends keyof Operations> = Omit<Operations[O], 'answer' | 'query'> &
  (Operations[O] extends { query: infer Query } ? { query?: Query } : unknown) &
  Pick<HttpRequest, 'signal' | 'timeoutMs'>
/** What it answers. */
export type AnswerOf<O extends keyof Operations> = Operations[O]['answer']

const maxTries = 6
const baseDelayMs = 50
const maxDelayMs = 3000
const defaultTimeoutMs = 30_000
/** Retries may add at most about a fifth to the load, after a burst of ten. */
const budgetLimit = 10
const budgetPerRequest = 0.2

/**
 * Requests to the gateway: bearer key, problem+json as `OmiumError`, retries with full jitter within a budget. A change
 * carries one idempotency key through all tries: it is decided once, however often it has to be sent.
 */
export class Http {
  readonly url: string
  private readonly modelsUrl: string | undefined
  /** what opens the gateway: a key, or the token of a session */
  private readonly credential: () => Promise<string>
  private readonly fetch: typeof fetch
  private budget = budgetLimit

  /** @throws OmiumError `settings_invalid` when there is neither a key, given or in the environment, nor a session */
  constructor(options: ConnectionOptions) {
    const { accessToken } = options
    const env = {
      ...process.env,
      ...(options.url !== undefined && { OMIUM_URL: options.url }),
      ...(options.apiKey !== undefined && { OMIUM_API_KEY: options.apiKey }),
      ...(options.modelsUrl !== undefined && { OMIUM_MODELS_URL: options.modelsUrl }),
    }
    const settings = readSettings(env, ['OMIUM_URL', 'OMIUM_MODELS_URL'])
    this.url = withoutSlash(settings.OMIUM_URL)
    this.modelsUrl = settings.OMIUM_MODELS_URL && withoutSlash(settings.OMIUM_MODELS_URL)
    if (accessToken) this.credential = accessToken
    else {
      const { OMIUM_API_KEY: key } = readSettings(env, ['OMIUM_API_KEY'])
      this.credential = async () => key
    }
    this.fetch = options.fetch ?? fetch
  }

  /** Where the model gateway is. @throws OmiumError `settings_invalid` when nobody has said it */
  models(): string {
    if (this.modelsUrl !== undefined) return this.modelsUrl
    throw new OmiumError('settings_invalid', 'no model gateway: set OMIUM_MODELS_URL, or give modelsUrl')
  }

  /** An operation of the API. @throws OmiumError with the gateway's code, or `unavailable` */
  async call<O extends keyof Operations>(operation: O, request: Call<O>): Promise<AnswerOf<O>> {
    const { path = {}, ...rest } = request as HttpRequest & { path?: Readonly<Record<string, string | number>> }
    const [method = '', template = ''] = operation.split(' ')
    const filled = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path[name])))
    return (await this.json(method, filled, rest)) as AnswerOf<O>
  }

  /** The body of a good answer; null when it has none. @throws OmiumError with the gateway's code, or `unavailable` */
  async json(method: string, path: string, request: HttpRequest = {}): Promise<JsonValue> {
    const response = await this.send(method, path, request)
    const text = await response.text()
    try {
      return text === '' ? null : (JSON.parse(text) as JsonValue)
    } catch (cause) {
      throw new OmiumError('internal', `${method} ${path} was answered with something that is not JSON`, { cause })
    }
  }

  /** A good answer with its body unread. */
  async send(method: string, path: string, request: HttpRequest): Promise<Response> {
    this.budget = Math.min(budgetLimit, this.budget + budgetPerRequest)
    const headers = method === 'GET' ? request.headers : { 'idempotency-key': randomUUID(), ...request.headers }
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.once(method, path, { ...request, ...(headers && { headers }) })
      if (outcome instanceof Response) return outcome
      if (!outcome.error.retryable || attempt >= maxTries || this.budget < 1) throw outcome.error
      this.budget -= 1
      const backoff = Math.random() * Math.min(maxDelayMs, baseDelayMs * 2 ** attempt)
      await delay(Math.max(backoff, outcome.retryAfterMs), undefined, request.signal ? { signal: request.signal } : {})
    }
  }

  /** A WebSocket, opening. */
  async socket(path: string): Promise<WebSocket> {
    const url = `${this.url}${path}`.replace(/^http/, 'ws')
    const headers = { authorization: `Bearer ${await this.credential()}` }
    return new WebSocket(url, { headers, perMessageDeflate: false })
  }

  private async once(
    method: string,
    path: string,
    request: HttpRequest,
  ): Promise<Response | { error: OmiumError; retryAfterMs: number }> {
    const base = request.baseUrl ?? this.url
    const url = new URL(`${base}${path}`)
    const credential = await this.credential()
    for (const [key, value] of Object.entries(request.query ?? {}))
      for (const one of [value].flat()) if (one !== undefined) url.searchParams.append(key, String(one))
    const { timeoutMs = defaultTimeoutMs } = request
    const timeout = new AbortController()
    const timer = setTimeout(() => timeout.abort(), timeoutMs)
    let response: Response
    try {
      response = await this.fetch(url, {
        method,
        headers: {
          authorization: `Bearer ${credential}`,
          accept: request.accept ?? 'application/json, application/problem+json',
          'x-request-id': randomUUID(),
          ...(request.body !== undefined && { 'content-type': 'application/json' }),
          ...request.headers,
        },
        ...(request.body !== undefined && { body: JSON.stringify(request.body) }),
        signal: request.signal ? AbortSignal.any([request.signal, timeout.signal]) : timeout.signal,
      })
    } catch (cause) {
      if (request.signal?.aborted) throw request.signal.reason
      // a refusal of whoever gave this `fetch`, not of the network
      if (cause instanceof OmiumError) throw cause
      const why = timeout.signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(cause)
      const error = new OmiumError('unavailable', `${base} cannot be reached: ${why}`, { cause })
      return { error, retryAfterMs: 0 }
    } finally {
      clearTimeout(timer)
    }
    if (response.ok) return response
    const error = await problemOf(response, `${method} ${path}`)
    const retryAfter = Number(response.headers.get('retry-after') ?? 0)
    return {
      error,
      retryAfterMs: Number.isFinite(retryAfter) ? Math.min(60_000, retryAfter * 1000) : 0,
    }
  }
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, '')

const reasonOf = (error: unknown): string => {
  const cause = error instanceof Error ? (error.cause as { code?: string; message?: string } | undefined) : undefined
  return cause?.code ?? cause?.message ?? String(error)
}

/** as the model gateway refuses, which speaks OpenAI's language */
const modelProblem = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

/** The error behind a refused request: the gateway's own, or one that says what stood between. */
const problemOf = async (response: Response, what: string): Promise<OmiumError> => {
  const text = await response.text().catch(() => '')
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  const parsed = problem.safeParse(body)
  const { data: modelRefusal } = modelProblem.safeParse(body)
  if (modelRefusal) {
    const { code, message } = modelRefusal.error
    return new OmiumError(code as OmiumError['code'], message, { retryable: response.status >= 500 })
  }
  if (!parsed.success) {
    const code = [502, 503, 504].includes(response.status) ? 'unavailable' : 'internal'
    return new OmiumError(code, `${what} was answered ${response.status} by something that is not the gateway`)
  }
  const { detail, retryable, errors, requestId } = parsed.data
  const code = parsed.data.code as OmiumError['code']
  const lines = errors?.map((error) => `${error.path}: ${error.message}`) ?? []
  // the gateway says in its detail what is wrong with fields; others may not
  const more = lines.filter((line) => !detail.includes(line))
  return new OmiumError(code, [detail, ...more].join('; '), {
    retryable,
    ...(requestId !== undefined && { data: { requestId } }),
  })
}
