import {
  type CauseLink,
  codeInText,
  type ErrorCode,
  type Failure,
  type FailureClass,
  type FailureFacts,
} from '@omium/schemas'

/**
 * What kind of failure it is, read from a table: the first line that fits the root cause decides. A line fits when all of
 * what it names fits; so lines go from the special to the general, and the last one fits everything.
 */
export interface Classification {
  readonly class: FailureClass
  /** what the class was read from, for people */
  readonly by: string
}

interface Line {
  readonly class: FailureClass
  readonly codes?: readonly (ErrorCode | RegExp)[]
  /** of the error in user code */
  readonly names?: RegExp
  /** in the root cause's text */
  readonly text?: RegExp
  /** what the root cause's text is in the words of model providers */
  readonly said?: ErrorCode
  readonly kinds?: readonly string[]
  readonly because?: (facts: FailureFacts) => string | null
}

const invalidValue =
  /^(ZodError|ValidationError|SchemaError|ValueError|InvalidInput\w*|InvalidUpdateError|EmptyInputError|\w*ValidationError)$/
const unreadable = /^(SyntaxError|JSONDecodeError|OutputParser\w*|\w*Parse\w*Error|ZodError|\w*ValidationError)$/
const bug =
  /^(TypeError|ReferenceError|RangeError|SyntaxError|AssertionError|AttributeError|NameError|KeyError|IndexError|ImportError|ModuleNotFoundError|NotImplementedError|ZeroDivisionError|UnboundLocalError|RecursionError|IndentationError)$/

const table: readonly Line[] = [
  { class: 'loop', codes: ['execution_looping'] },
  { class: 'stall', codes: ['execution_stalled'] },
  { class: 'budget', codes: ['budget_exceeded'] },
  { class: 'unknown_outcome', codes: ['step_outcome_unknown'] },
  { class: 'policy', codes: ['model_content_filter', 'approval_rejected', 'forbidden', 'execution_cancelled'] },
  { class: 'credentials', codes: ['model_auth', 'unauthenticated'] },
  { class: 'context_length', codes: ['model_context_length'] },
  { class: 'rate_limit', codes: ['model_rate_limited', 'rate_limited'] },
  { class: 'transient_provider', codes: ['model_overloaded'] },
  { class: 'bad_model_output', codes: ['model_malformed'] },
  // a run that loses its workers before it has recorded anything does so because of what it was given
  {
    class: 'poison_input',
    codes: ['attempts_exhausted'],
    because: ({ stepsCompleted }) => (stepsCompleted === 0 ? 'its workers die before its first result' : null),
  },
  { class: 'worker_crash', codes: ['attempts_exhausted', 'worker_lost'] },
  { class: 'poison_input', codes: ['input_invalid', 'payload_too_large', 'invalid_json'] },
  { class: 'code_bug', codes: ['replay_mismatch', 'replay_miss', 'output_invalid', 'protocol_violation'] },
  { class: 'timeout', codes: ['step_timeout', 'wait_timeout', 'execution_timeout', 'timeout'] },
  {
    class: 'platform',
    codes: [/^(log|object|snapshot|schema|record)_/, 'unavailable', 'internal', 'execution_parked'],
  },
  // errors of user code, by their class and text; frameworks wrap providers' errors in their own. What providers say comes
  // first: clients call a quota that is used up a rate limit, and much else a bad request
  { class: 'context_length', said: 'model_context_length' },
  { class: 'credentials', said: 'model_auth' },
  { class: 'policy', said: 'model_content_filter' },
  { class: 'rate_limit', names: /RateLimit|TooManyRequests|Throttl|ResourceExhausted/i },
  { class: 'rate_limit', text: /\b429\b|rate.?limit|too many requests|quota exceeded|resource_exhausted/i },
  { class: 'context_length', names: /ContextLength|ContextWindow|TokenLimit/i },
  { class: 'context_length', text: /too many tokens/i },
  { class: 'credentials', names: /Authentication|Unauthorized|PermissionDenied|InvalidApiKey/i },
  { class: 'credentials', text: /\b401\b/ },
  { class: 'policy', names: /ContentFilter|ContentPolicy|Moderation/i },
  { class: 'policy', text: /content.?(filter|policy)|flagged by moderation/i },
  { class: 'timeout', names: /Timeout|TimedOut|DeadlineExceeded/i },
  { class: 'timeout', text: /\bETIMEDOUT\b|timed? ?out|deadline exceeded/i },
  {
    class: 'transient_provider',
    kinds: ['llm'],
    text: /\b(50[0234]|529)\b|overloaded|server busy|ECONNRESET|ECONNREFUSED|socket hang up|fetch failed|connection (error|reset|refused)/i,
  },
  {
    class: 'transient_provider',
    names: /^(APIConnectionError|InternalServerError|ServiceUnavailable\w*|Overloaded\w*|RemoteProtocolError)$/,
  },
  { class: 'bad_model_output', kinds: ['llm'], names: unreadable },
  { class: 'bad_model_output', names: /OutputPars/i },
  {
    class: 'bad_model_output',
    text: /could not parse (llm|model) output|(invalid|malformed) (json|output) from (the )?model/i,
  },
  { class: 'tool_error', kinds: ['tool'] },
  {
    class: 'poison_input',
    names: invalidValue,
    because: ({ stepsCompleted }) => (stepsCompleted === 0 ? 'nothing of the run has worked' : null),
  },
  { class: 'code_bug', names: bug },
  { class: 'tool_error', text: /\bE(CONNRESET|CONNREFUSED|PIPE|HOSTUNREACH)\b|socket hang up|fetch failed/i },
  {
    class: 'worker_crash',
    because: ({ lostAttempts }) => (lostAttempts > 2 ? `${lostAttempts} attempts were lost before it` : null),
  },
  { class: 'tool_error', codes: ['step_failed'] },
  { class: 'code_bug' },
]

/** Frameworks put tracebacks into the texts of their errors, in which `line 429` is no status. */
const withoutPlaces = (text: string): string => text.replace(/\bline \d+/g, '')

const fits = (line: Line, root: CauseLink, facts: FailureFacts, kind: string | undefined): string | null => {
  const reasons: string[] = []
  if (line.codes) {
    if (!line.codes.some((code) => (typeof code === 'string' ? code === root.code : code.test(root.code)))) return null
    reasons.push(`code ${root.code}`)
  }
  if (line.kinds) {
    if (kind === undefined || !line.kinds.includes(kind)) return null
    reasons.push(`a step of kind ${kind}`)
  }
  if (line.names) {
    if (root.name === undefined || !line.names.test(root.name)) return null
    reasons.push(`error class ${root.name}`)
  }
  if (line.text) {
    const found = line.text.exec(withoutPlaces(root.detail))
    if (!found) return null
    reasons.push(`"${found[0]}" in its text`)
  }
  if (line.said) {
    if (codeInText(withoutPlaces(root.detail)) !== line.said) return null
    reasons.push(`a provider's words for ${line.said}`)
  }
  if (line.because) {
    const reason = line.because(facts)
    if (reason === null) return null
    reasons.push(reason)
  }
  return reasons.join(', ') || `nothing else fits code ${root.code}`
}

/** @param root the deepest cause that is known; see root-cause.ts */
export const classify = (facts: FailureFacts, root: CauseLink): Classification => {
  // the kind of the failed step says nothing about a cause that lies in another run
  const kind = root.executionId === facts.executionId ? facts.step?.kind : undefined
  for (const line of table) {
    const by = fits(line, root, facts, kind)
    if (by !== null) return { class: line.class, by: by.slice(0, 500) }
  }
  throw new RangeError('the last line of the table fits everything')
}

/** What the provider asked to wait, ms; null when it said nothing. */
export const retryAfterMsOf = ({ data }: Failure): number | null => {
  if (data === null || typeof data !== 'object' || Array.isArray(data)) return null
  const wait = data['retryAfterMs']
  return typeof wait === 'number' && Number.isFinite(wait) && wait >= 0 ? wait : null
}
