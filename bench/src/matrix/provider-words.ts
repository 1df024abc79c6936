/** How providers word what goes wrong, each in its own way: what the SDKs and the model gateway have to understand. */
export interface Refused {
  readonly status: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

export const providers = ['openai', 'anthropic', 'azure', 'gemini', 'ollama'] as const
export type ProviderName = (typeof providers)[number]

type Worded = 'transient_provider' | 'rate_limit' | 'context_length' | 'bad_model_output'

const refused = (status: number, body: object, headers?: Readonly<Record<string, string>>): Refused => ({
  status,
  body: JSON.stringify(body),
  ...(headers && { headers }),
})
const openai = (status: number, message: string, type: string, code: string | null): Refused =>
  refused(status, { error: { message, type, param: null, code } })
const anthropic = (status: number, type: string, message: string, headers?: Record<string, string>): Refused =>
  refused(status, { type: 'error', error: { type, message } }, headers)
const google = (code: number, status: string, message: string, details: readonly object[] = []): Refused =>
  refused(code, [{ error: { code, message, status, details } }])

export const words: Readonly<Record<ProviderName, Readonly<Record<Worded, Refused>>>> = {
  openai: {
    transient_provider: openai(503, 'The engine is currently overloaded, please try again later', 'server_error', null),
    rate_limit: openai(
      429,
      'Rate limit reached for model-a on tokens per min (TPM): Limit 30000, Used 29990. Please try again in 200ms.',
      'tokens',
      'rate_limit_exceeded',
    ),
    context_length: openai(
      400,
      "This model's maximum context length is 1000 tokens. However, your messages resulted in 1700 tokens.",
      'invalid_request_error',
      'context_length_exceeded',
    ),
    bad_model_output: { status: 200, body: '{"id": "chatcmpl-1", "choices": [{"message": {"role": "assist' },
  },
  anthropic: {
    transient_provider: anthropic(529, 'overloaded_error', 'Overloaded'),
    rate_limit: anthropic(429, 'rate_limit_error', "This request would exceed your organization's rate limit", {
      'retry-after': '1',
    }),
    context_length: anthropic(400, 'invalid_request_error', 'prompt is too long: 1700 tokens > 1000 maximum'),
    bad_model_output: { status: 200, body: '' },
  },
  azure: {
    transient_provider: refused(503, {
      error: { code: 'ServiceUnavailable', message: 'The service is temporarily unable to process your request.' },
    }),
    rate_limit: refused(
      429,
      { error: { code: '429', message: 'Requests have exceeded token rate limit of your current pricing tier.' } },
      { 'retry-after-ms': '200', 'retry-after': '1' },
    ),
    context_length: openai(
      400,
      "This model's maximum context length is 1000 tokens, however you requested 1700 tokens.",
      'invalid_request_error',
      'context_length_exceeded',
    ),
    bad_model_output: { status: 200, body: '<html><body>Our services are not available right now</body></html>' },
  },
  gemini: {
    transient_provider: google(503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.'),
    rate_limit: google(
      429,
      'RESOURCE_EXHAUSTED',
      'You exceeded your current quota, please check your plan and billing details.',
      [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '0.2s' }],
    ),
    context_length: google(
      400,
      'INVALID_ARGUMENT',
      'The input token count (1700) exceeds the maximum number of tokens allowed (1000).',
    ),
    bad_model_output: { status: 200, body: '[{"error"' },
  },
  ollama: {
    transient_provider: refused(500, { error: 'llama runner process has terminated: exit status 2' }),
    rate_limit: refused(429, { error: 'too many concurrent requests' }),
    context_length: refused(400, { error: 'the input length exceeds the context length' }),
    bad_model_output: { status: 200, body: 'unexpected EOF' },
  },
}
