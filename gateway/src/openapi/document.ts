import { callerId, type ErrorCode, errorCatalogue, logPosition, problem } from '@omium/schemas'
import { z } from 'zod'
import { errorsOf, operationIds, requestExamples } from './operations.ts'

/**
 * What every operation of the document says alike: its name, each error that it can answer with, the headers of limits and
 * idempotency, who may call it. Made from the routes, so that a new one is described by being there.
 */
export interface RouteFacts {
  readonly method: string
  /** with `{name}` for parameters */
  readonly path: string
  /** undefined: open to everybody */
  readonly permission: unknown
  /** it reads a read model, and can wait for it */
  readonly reads: boolean
}

type Json = Record<string, unknown>
export interface Operation extends Json {
  tags?: string[]
  parameters?: { in: string; name: string }[]
  requestBody?: { content: Record<string, { schema?: unknown; example?: unknown }>; required?: boolean }
  responses: Record<string, Json & { content?: Record<string, unknown> }>
}
export interface Document extends Json {
  paths: Record<string, Record<string, Operation>>
  components?: Json & { schemas?: Json }
}

const anyRoute: readonly ErrorCode[] = [
  'malformed_request',
  'request_timeout',
  'headers_too_large',
  'rate_limited',
  'internal',
  'unavailable',
  'timeout',
]
const withBody: readonly ErrorCode[] = ['invalid_json', 'payload_too_large', 'unsupported_media_type']

/** A request that changes something may say by a key which one it is. */
const takesKey = ({ method, permission }: RouteFacts): boolean => method !== 'GET' && permission !== undefined

export const errorCodesOf = (route: RouteFacts, operation: Operation): ErrorCode[] => {
  const { method, permission, reads } = route
  const parameters = operation.parameters ?? []
  const area = (operation.tags ?? []).flatMap((tag) => errorsOf[tag] ?? [])
  const isRead = method === 'GET'
  return [
    ...anyRoute,
    ...(permission === undefined
      ? []
      : (['unauthenticated', 'forbidden', 'policy_denied', 'step_up_required', 'mfa_enrolment_required'] as const)),
    ...(operation.requestBody ? withBody : []),
    ...(parameters.length > 0 || operation.requestBody || reads || !isRead ? (['invalid_request'] as const) : []),
    ...(parameters.some((one) => one.in === 'path') ? (['not_found'] as const) : []),
    ...(reads ? (['offset_not_reached'] as const) : []),
    ...(takesKey(route) ? (['idempotency_conflict'] as const) : []),
    ...(isRead ? [] : (['log_unreachable', 'log_in_doubt'] as const)),
    ...(isRead ? area.filter((code) => [401, 404, 410, 426, 500].includes(errorCatalogue[code].status)) : area),
  ]
}

const problemResponses = (codes: readonly ErrorCode[]): Operation['responses'] => {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of new Set(codes)) {
    const { status } = errorCatalogue[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      String(status),
      {
        description: list.map((code) => `\`${code}\`: ${errorCatalogue[code].title}`).join('. '),
        content: {
          'application/problem+json': {
            schema: { $ref: '#/components/schemas/Problem' },
            examples: Object.fromEntries(list.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
          },
        },
      },
    ]),
  )
}

/** `POST /v1/keys/{id}/rotate` becomes `postKeysByIdRotate`: for routes that nobody has named. */
const nameOf = ({ method, path }: RouteFacts): string => {
  const words = path
    .replace(/^\/v1/, '')
    .replaceAll('{', 'by-')
    .split(/[^A-Za-z0-9]+/)
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

const withoutSchema = (schema: unknown): Json => {
  const { $schema: _, ...rest } = schema as Json
  return rest
}

const limitHeaders = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'] as const
const headerDescriptions: Readonly<Record<string, string>> = {
  'ratelimit-limit': 'Requests allowed in the window, of the limit of which least is left',
  'ratelimit-remaining': 'Requests left in the window',
  'ratelimit-reset': 'Seconds until the window ends',
}
const ratedHeaders = Object.fromEntries(limitHeaders.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
const etagHeader = { etag: { description: 'Of what is shown, for `if-none-match`', schema: { type: 'string' } } }
const ifNoneMatchParameter = {
  name: 'if-none-match',
  in: 'header',
  required: false,
  description: 'The `etag` of what the caller has: the answer is 304 while that is current.',
  schema: { type: 'string' },
}
const idempotencyParameter = {
  name: 'idempotency-key',
  in: 'header',
  required: false,
  description:
    'A request that is sent again with the same key is not done again: the recorded outcome is told, with ' +
    '`idempotency-replayed: true`. Another request with it is refused for a day.',
  schema: z.toJSONSchema(callerId, { target: 'draft-2020-12' }),
}

const minPositionParameter = {
  name: 'min_position',
  in: 'query',
  required: false,
  description: 'The `position` that a write was answered with: the read waits until it shows that.',
  schema: withoutSchema(z.toJSONSchema(logPosition, { target: 'draft-2020-12' })),
}

const exampleOf = (code: ErrorCode) => {
  const { status, title, retryable } = errorCatalogue[code]
  return {
    value: {
      type: `urn:omium:error:${code}`,
      title,
      status,
      detail: title,
      code,
      retryable,
      requestId: 'req_4f2a9c1e',
    },
  }
}

/** Completes the document that the routes' schemas make. */
export const describe = (document: Document, routes: readonly RouteFacts[]): Document => {
  const used = new Set<ErrorCode>()
  for (const route of routes) {
    const operation = document.paths[route.path]?.[route.method.toLowerCase()]
    if (!operation) continue
    const operationId = operationIds[`${route.method} ${route.path}`] ?? nameOf(route)
    operation['operationId'] = operationId
    for (const [status, response] of Object.entries(operation.responses)) {
      // schemas say "nothing" as `undefined`, which is no content rather than content of no kind
      if (['101', '204', '304'].includes(status)) delete response.content
      else response['headers'] = ratedHeaders
    }
    if (route.reads) {
      operation.responses['304'] = { description: 'What `if-none-match` names is still current' }
      operation.responses['200'] = { ...operation.responses['200'], headers: { ...ratedHeaders, ...etagHeader } }
    }
    const codes = errorCodesOf(route, operation)
    for (const code of codes) used.add(code)
    operation.responses = { ...problemResponses(codes), ...operation.responses }
    if (route.permission === undefined) operation['security'] = []
    if (takesKey(route)) operation.parameters = [...(operation.parameters ?? []), { ...idempotencyParameter }]
    if (route.reads)
      operation.parameters = [...(operation.parameters ?? []), { ...minPositionParameter }, { ...ifNoneMatchParameter }]
    const example = requestExamples[operationId]
    const json = operation.requestBody?.content['application/json']
    const { anyOf } = (json?.schema ?? {}) as { anyOf?: { type?: string }[] }
    // a body that may be null may as well be absent
    if (operation.requestBody && anyOf?.some(({ type }) => type === 'null')) operation.requestBody.required = false
    if (json && example !== undefined) json.example = example
  }
  document.components = {
    ...document.components,
    schemas: {
      ...document.components?.schemas,
      Problem: withoutSchema(z.toJSONSchema(problem, { target: 'draft-2020-12', io: 'output' })),
    },
    headers: Object.fromEntries(
      limitHeaders.map((name) => [
        name,
        { description: headerDescriptions[name], schema: { type: 'integer', minimum: 0 } },
      ]),
    ),
    examples: Object.fromEntries([...used].map((code) => [code, exampleOf(code)])),
  }
  return document
}
