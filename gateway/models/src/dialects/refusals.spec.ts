import { describe, expect, it } from 'vitest'
import { refusalIn, refusalOf } from './refusals.ts'

const now = Date.parse('2026-01-01T00:00:00Z')
const json = (value: unknown): string => JSON.stringify(value)
const openai = (message: string, type: string, code: string | null) =>
  json({ error: { message, type, param: null, code } })
const anthropic = (type: string, message: string) => json({ type: 'error', error: { type, message } })
const google = (code: number, status: string, message: string, details: unknown[] = []) =>
  json({ error: { code, message, status, details } })

/** Bodies in the words of each provider's documentation. */
const table: [provider: string, status: number, body: string, code: string, retryable: boolean][] = [
  [
    'OpenAI',
    401,
    openai('Incorrect API key provided: sk-ab***yz.', 'invalid_request_error', 'invalid_api_key'),
    'model_auth',
    false,
  ],
  [
    'OpenAI',
    403,
    openai('Country, region, or territory not supported', 'request_forbidden', 'unsupported_country_region_territory'),
    'model_auth',
    false,
  ],
  [
    'OpenAI',
    429,
    openai(
      'Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2.1s.',
      'tokens',
      'rate_limit_exceeded',
    ),
    'model_rate_limited',
    true,
  ],
  [
    'OpenAI',
    429,
    openai(
      'You exceeded your current quota, please check your plan and billing details.',
      'insufficient_quota',
      'insufficient_quota',
    ),
    'model_auth',
    false,
  ],
  [
    'OpenAI',
    400,
    openai(
      "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
      'invalid_request_error',
      'context_length_exceeded',
    ),
    'model_context_length',
    false,
  ],
  [
    'OpenAI',
    400,
    openai(
      'Your request was rejected as a result of our safety system.',
      'image_generation_user_error',
      'content_policy_violation',
    ),
    'model_content_filter',
    false,
  ],
  [
    'OpenAI',
    400,
    openai(
      "Unsupported parameter: 'max_tokens' is not supported with this model.",
      'invalid_request_error',
      'unsupported_parameter',
    ),
    'invalid_request',
    false,
  ],
  [
    'OpenAI',
    404,
    openai(
      'The model `gpt-9` does not exist or you do not have access to it.',
      'invalid_request_error',
      'model_not_found',
    ),
    'invalid_request',
    false,
  ],
  [
    'OpenAI',
    500,
    openai('The server had an error while processing your request. Sorry about that!', 'server_error', null),
    'model_overloaded',
    true,
  ],
  [
    'OpenAI',
    503,
    openai('The engine is currently overloaded, please try again later', 'server_error', null),
    'model_overloaded',
    true,
  ],
  ['a proxy', 502, '<html><body><h1>502 Bad Gateway</h1></body></html>', 'model_overloaded', true],
  ['a proxy', 504, '', 'model_overloaded', true],
  ['a redirect', 302, '', 'model_malformed', true],
  [
    'Azure',
    401,
    openai('Access denied due to invalid subscription key or wrong API endpoint.', '', '401'),
    'model_auth',
    false,
  ],
  [
    'Azure',
    429,
    openai(
      'Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current pricing tier. Please retry after 26 seconds.',
      '',
      '429',
    ),
    'model_rate_limited',
    true,
  ],
  [
    'Azure',
    400,
    json({
      error: {
        message: "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        type: null,
        param: 'prompt',
        code: 'content_filter',
        status: 400,
        innererror: { code: 'ResponsibleAIPolicyViolation', content_filter_result: {} },
      },
    }),
    'model_content_filter',
    false,
  ],
  [
    'Anthropic',
    400,
    anthropic('invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'),
    'model_context_length',
    false,
  ],
  [
    'Anthropic',
    400,
    anthropic('invalid_request_error', 'messages: at least one message is required'),
    'invalid_request',
    false,
  ],
  [
    'Anthropic',
    400,
    anthropic('invalid_request_error', 'Your credit balance is too low to access the Anthropic API.'),
    'model_auth',
    false,
  ],
  ['Anthropic', 401, anthropic('authentication_error', 'invalid x-api-key'), 'model_auth', false],
  [
    'Anthropic',
    403,
    anthropic('permission_error', 'Your API key does not have permission to use the specified resource.'),
    'model_auth',
    false,
  ],
  ['Anthropic', 404, anthropic('not_found_error', 'model: claude-9'), 'invalid_request', false],
  ['Anthropic', 413, anthropic('request_too_large', 'Request exceeds the maximum size'), 'model_context_length', false],
  [
    'Anthropic',
    429,
    anthropic('rate_limit_error', 'This request would exceed your organization rate limit'),
    'model_rate_limited',
    true,
  ],
  ['Anthropic', 500, anthropic('api_error', 'Internal server error'), 'model_overloaded', true],
  ['Anthropic', 529, anthropic('overloaded_error', 'Overloaded'), 'model_overloaded', true],
  [
    'Gemini',
    400,
    google(400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.', [
      { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID', domain: 'googleapis.com' },
    ]),
    'model_auth',
    false,
  ],
  [
    'Gemini',
    400,
    google(
      400,
      'INVALID_ARGUMENT',
      'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
    ),
    'model_context_length',
    false,
  ],
  [
    'Gemini',
    400,
    google(400, 'INVALID_ARGUMENT', 'Please ensure that function call turn comes immediately after a user turn.'),
    'invalid_request',
    false,
  ],
  [
    'Gemini',
    400,
    google(400, 'FAILED_PRECONDITION', 'User location is not supported for the API use.'),
    'model_auth',
    false,
  ],
  [
    'Gemini',
    403,
    google(403, 'PERMISSION_DENIED', "Your API key doesn't have the required permissions."),
    'model_auth',
    false,
  ],
  [
    'Gemini',
    429,
    google(429, 'RESOURCE_EXHAUSTED', 'You exceeded the rate limit.', [
      { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34s' },
    ]),
    'model_rate_limited',
    true,
  ],
  [
    'Gemini, a stream',
    429,
    `[${google(429, 'RESOURCE_EXHAUSTED', 'Resource has been exhausted')}]`,
    'model_rate_limited',
    true,
  ],
  [
    'Gemini',
    503,
    google(503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.'),
    'model_overloaded',
    true,
  ],
  [
    'Gemini',
    504,
    google(504, 'DEADLINE_EXCEEDED', 'Deadline expired before operation could complete.'),
    'model_overloaded',
    true,
  ],
  [
    'Ollama',
    404,
    json({ error: { message: 'model "llama9" not found, try pulling it first', type: 'api_error' } }),
    'invalid_request',
    false,
  ],
  [
    'Ollama',
    400,
    json({ error: 'input is too long for this model: exceeds the context window' }),
    'model_context_length',
    false,
  ],
  [
    'vLLM',
    400,
    json({
      object: 'error',
      message: "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
      type: 'BadRequestError',
      param: null,
      code: 400,
    }),
    'model_context_length',
    false,
  ],
  [
    'vLLM',
    404,
    json({ object: 'error', message: 'The model `x` does not exist.', type: 'NotFoundError', param: null, code: 404 }),
    'invalid_request',
    false,
  ],
  ['OpenRouter', 402, json({ error: { code: 402, message: 'Insufficient credits' } }), 'model_auth', false],
  [
    'OpenRouter',
    429,
    json({
      error: {
        code: 429,
        message: 'Provider returned error',
        metadata: { raw: 'rate-limited upstream', provider_name: 'X' },
      },
    }),
    'model_rate_limited',
    true,
  ],
  ['a firewall', 403, 'Forbidden', 'model_auth', false],
]

describe('refusals', () => {
  it.each(table)('of %s: %i %s is %s', (_provider, status, body, code, retryable) => {
    expect(refusalOf({ status, headers: {}, body }, now)).toMatchObject({ code, retryable })
  })

  it.each([
    ['seconds', { 'retry-after': '3' }, '', 3000],
    ['a date', { 'retry-after': 'Thu, 01 Jan 2026 00:00:10 GMT' }, '', 10_000],
    ['milliseconds, which are exact', { 'retry-after': '3', 'retry-after-ms': '2100' }, '', 2100],
    ['words', {}, openai('Rate limit reached. Please try again in 20ms.', 'tokens', 'rate_limit_exceeded'), 20],
    ["Google's details", {}, google(429, 'RESOURCE_EXHAUSTED', 'x', [{ retryDelay: '34s' }]), 34_000],
    ['a week, of which a day counts', { 'retry-after': '604800' }, '', 86_400_000],
  ])('tell when to come back in %s', (_how, headers, body, ms) => {
    expect(refusalOf({ status: 429, headers, body }, now).data).toEqual({ retryAfterMs: ms })
  })

  it('say nothing about it when the provider does not', () => {
    expect(refusalOf({ status: 429, headers: { 'retry-after': 'soon' }, body: '' }, now).data).toBeUndefined()
  })

  it('in the middle of a stream are what the provider says, or overload', () => {
    expect(refusalIn({ type: 'overloaded_error', message: 'Overloaded' }).code).toBe('model_overloaded')
    expect(refusalIn({ code: 429, message: 'slow down' }).code).toBe('model_rate_limited')
    expect(refusalIn('something').code).toBe('model_overloaded')
  })

  it('pass on at most a thousand characters of what was said', () => {
    expect(refusalOf({ status: 400, headers: {}, body: 'x'.repeat(5000) }, now).message.length).toBeLessThan(1100)
  })
})
