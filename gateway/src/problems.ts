import { freshProofMs } from '@omium/access'
import { asUnavailable } from '@omium/projection-kit'
import { type ErrorCode, errorCatalogue, OmiumError, type Problem } from '@omium/schemas'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'

/** The one place where errors become HTTP: RFC 9457 problem details. What happened inside is logged, never told. */

interface FieldError {
  readonly path: string
  readonly message: string
}

/** Codes of Fastify's own refusals, by what the caller did wrong. */
const fastifyCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_BAD_URL: 'malformed_request',
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
}

const fieldErrors = (error: unknown): FieldError[] | undefined =>
  hasZodFastifySchemaValidationErrors(error)
    ? error.validation.map(({ instancePath, message }) => ({
        path: instancePath.replace(/^\//, '').replaceAll('/', '.'),
        message: message ?? 'does not fit',
      }))
    : undefined

/** What is wrong inside of a value that was checked by its own rules, e.g. a workflow definition. */
const ownErrors = (error: unknown): FieldError[] | undefined => {
  const problems = error instanceof OmiumError && error.code === 'workflow_invalid' ? error.data : undefined
  return Array.isArray(problems) ? (problems as unknown as FieldError[]) : undefined
}

/** Any error as one of the closed list. Those that nobody foresaw become `internal`, without their text. */
export const toOmiumError = (thrown: unknown): OmiumError => {
  const error = asUnavailable(thrown)
  if (error instanceof OmiumError) return error
  const fields = fieldErrors(error)
  if (fields) {
    const list = fields.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; ')
    return new OmiumError('invalid_request', list.slice(0, 2000))
  }
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string }
  const known = code === undefined ? undefined : fastifyCodes[code]
  if (known) return new OmiumError(known, message ?? errorCatalogue[known].title)
  if (error instanceof SyntaxError && statusCode === 400) {
    return new OmiumError('invalid_json', `the body cannot be parsed: ${error.message}`)
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new OmiumError('invalid_request', message ?? 'the request cannot be handled')
  }
  return new OmiumError('internal', 'an unexpected error; its details are in the log under this request id', {
    cause: thrown,
  })
}

const problemOf = (error: OmiumError, request: FastifyRequest, errors?: FieldError[]): Problem => ({
  type: `urn:omium:error:${error.code}`,
  title: errorCatalogue[error.code].title,
  status: error.status,
  detail: error.message,
  code: error.code,
  retryable: error.retryable,
  instance: request.url.split('?')[0] ?? request.url,
  requestId: request.id,
  ...(errors && { errors }),
  ...dataOf(error),
})

/** What proves enough, for whoever has to prove more; which policies forbid it. */
const dataOf = ({ code, data }: OmiumError): Pick<Problem, 'accepts' | 'policies'> => {
  if (code === 'step_up_required') return { accepts: (data as { accepts: string[] }).accepts }
  return code === 'policy_denied' ? { policies: (data as { policies: string[] }).policies } : {}
}

export const sendProblem = (thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
  const error = toOmiumError(thrown)
  if (error.status >= 500) request.log.error({ err: thrown, code: error.code }, 'request failed')
  return answerProblem(error, request, reply, fieldErrors(thrown) ?? ownErrors(thrown))
}

/** The same without a line in the log, for what is refused by the thousand. */
export const answerProblem = (
  error: OmiumError,
  request: FastifyRequest,
  reply: FastifyReply,
  errors?: FieldError[],
): FastifyReply => {
  if (error.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer realm="omium"')
  // RFC 9470
  if (error.code === 'step_up_required')
    reply.header('www-authenticate', `Bearer error="insufficient_user_authentication", max_age=${freshProofMs / 1000}`)
  if (error.retryable && !reply.hasHeader('retry-after')) reply.header('retry-after', '1')
  return reply
    .status(error.status)
    .header('content-type', 'application/problem+json')
    .serializer(JSON.stringify)
    .send(problemOf(error, request, errors))
}

export const installProblems = (app: FastifyInstance): void => {
  const paths = new Map<string, { readonly pattern: RegExp; readonly methods: string[] }>()
  app.addHook('onRoute', ({ url, method }) => {
    if (url === '*') return
    const known = paths.get(url) ?? { pattern: patternOf(url), methods: [] }
    known.methods.push(...[method].flat())
    paths.set(url, known)
  })
  const answerUnknown = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const path = request.url.split('?')[0] ?? ''
    // a path that is written out is not an id of the route beside it
    const fitting = paths.has(path) ? [paths.get(path)] : [...paths.values()].filter((one) => one.pattern.test(path))
    const methods = [...new Set(fitting.flatMap((one) => one?.methods ?? []))].sort()
    if (methods.length === 0 || methods.includes(request.method))
      return sendProblem(new OmiumError('not_found', `there is no ${request.method} ${path}`), request, reply)
    reply.header('allow', methods.join(', '))
    return sendProblem(new OmiumError('method_not_allowed', `${path} has no ${request.method}`), request, reply)
  }
  // where there is no route, nothing else that is wrong with a request matters
  app.setErrorHandler((error, request, reply) =>
    request.is404 ? answerUnknown(request, reply) : sendProblem(error, request, reply),
  )
  app.setNotFoundHandler(answerUnknown)
}

/** Which paths a route has: `/a/:id` fits `/a/1`, `/docs/*` all below. */
const patternOf = (url: string): RegExp =>
  new RegExp(
    `^${url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:\w+/g, '[^/]+')
      .replace(/\*$/, '.*')}$`,
  )
