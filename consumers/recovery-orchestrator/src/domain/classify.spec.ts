import { errorCodes, type FailureClass, failureClasses } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { facts } from '../../test/given.ts'
import { classify, retryAfterMsOf } from './classify.ts'
import { rootCauseOf } from './root-cause.ts'

type Kind = 'step' | 'llm' | 'tool' | 'none'
const of = (code: string, name: string | null, text: string, kind: Kind, more = {}): FailureClass => {
  const error = {
    code: code as 'step_failed',
    detail: text,
    retryable: false,
    ...(name && { cause: { name, message: text } }),
  }
  const step = kind === 'none' ? {} : { step: { path: 'x#1', name: 'x', kind } }
  const { step: _, ...base } = facts({ error, ...more })
  const all = { ...base, ...step }
  return classify(all, rootCauseOf(all.chain)).class
}

describe('a failure is classified', () => {
  it.each<[FailureClass, string, string | null, string, Kind]>([
    ['transient_provider', 'model_overloaded', null, 'busy', 'llm'],
    ['transient_provider', 'step_failed', 'APIConnectionError', 'Connection error.', 'llm'],
    ['transient_provider', 'step_failed', 'Error', 'fetch failed', 'llm'],
    ['rate_limit', 'model_rate_limited', null, 'slow down', 'llm'],
    ['rate_limit', 'step_failed', 'RateLimitError', 'slow down', 'tool'],
    ['rate_limit', 'agent_threw', 'Error', 'Request failed with status code 429', 'none'],
    ['timeout', 'step_timeout', null, 'too slow', 'tool'],
    ['timeout', 'step_failed', 'APITimeoutError', 'Request timed out.', 'llm'],
    ['timeout', 'wait_timeout', null, 'nobody answered', 'none'],
    ['tool_error', 'step_failed', 'Error', 'the shop answered 500', 'tool'],
    ['tool_error', 'step_failed', 'TypeError', 'x is undefined', 'tool'],
    ['tool_error', 'step_failed', 'Error', 'something odd', 'step'],
    ['bad_model_output', 'model_malformed', null, 'no JSON', 'llm'],
    ['bad_model_output', 'step_failed', 'JSONDecodeError', 'Expecting value', 'llm'],
    ['bad_model_output', 'agent_threw', 'OutputParserException', 'Could not parse', 'none'],
    ['context_length', 'model_context_length', null, 'too long', 'llm'],
    ['context_length', 'step_failed', 'BadRequestError', "This model's maximum context length is 8192", 'llm'],
    ['loop', 'execution_looping', null, 'again', 'none'],
    ['stall', 'execution_stalled', null, 'still', 'none'],
    ['budget', 'budget_exceeded', null, 'no money', 'llm'],
    ['policy', 'approval_rejected', null, 'no', 'none'],
    ['policy', 'model_content_filter', null, 'filtered', 'llm'],
    ['worker_crash', 'attempts_exhausted', null, '11 attempts', 'none'],
    ['poison_input', 'input_invalid', null, 'not a number', 'none'],
    ['code_bug', 'agent_threw', 'TypeError', 'undefined is not a function', 'none'],
    ['code_bug', 'agent_threw', 'AttributeError', "'NoneType' object has no attribute 'x'", 'none'],
    ['code_bug', 'agent_threw', 'RuntimeError', 'TypeError: x\n  File "a.py", line 429, in f', 'none'],
    ['timeout', 'timeout', null, 'did not answer in time', 'llm'],
    ['code_bug', 'replay_mismatch', null, 'another step', 'none'],
    ['credentials', 'model_auth', null, 'bad key', 'llm'],
    ['unknown_outcome', 'step_outcome_unknown', null, 'who knows', 'tool'],
    ['platform', 'object_missing', null, 'gone', 'none'],
    // providers' own words, as their clients and the frameworks above them raise them
    [
      'credentials',
      'agent_threw',
      'RateLimitError',
      "Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check your plan and billing details.', 'code': 'insufficient_quota'}}",
      'none',
    ],
    [
      'rate_limit',
      'agent_threw',
      'ClientError',
      "429 RESOURCE_EXHAUSTED. {'error': {'message': 'You exceeded your current quota, please check your plan. Please retry in 12s.'}}",
      'none',
    ],
    ['rate_limit', 'step_failed', 'ResourceExhausted', 'Resource has been exhausted (e.g. check quota).', 'tool'],
    [
      'credentials',
      'agent_threw',
      'ClientError',
      '400 INVALID_ARGUMENT: API key not valid. Please pass a valid API key.',
      'none',
    ],
    [
      'context_length',
      'step_failed',
      'BadRequestError',
      "Error code: 400 - {'error': {'type': 'invalid_request_error', 'message': 'prompt is too long: 210000 tokens > 200000 maximum'}}",
      'step',
    ],
    [
      'context_length',
      'agent_threw',
      'ClientError',
      'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
      'none',
    ],
    [
      'policy',
      'agent_threw',
      'BadRequestError',
      "Error code: 400 - {'error': {'code': 'content_filter', 'innererror': {'code': 'ResponsibleAIPolicyViolation'}}}",
      'none',
    ],
    [
      'transient_provider',
      'step_failed',
      'InternalServerError',
      "Error code: 529 - {'type': 'overloaded_error'}",
      'llm',
    ],
    [
      'transient_provider',
      'step_failed',
      'ResponseError',
      'llama runner process has terminated (status code: 500)',
      'llm',
    ],
    ['transient_provider', 'step_failed', 'ResponseError', 'server busy, please try again. (status code: 503)', 'llm'],
    ['transient_provider', 'step_failed', 'ConnectError', '[Errno 111] Connection refused', 'llm'],
    ['platform', 'log_unreachable', null, 'away', 'none'],
  ])('%s: %s %s "%s" in a %s', (expected, code, name, text, kind) => {
    expect(of(code, name, text, kind)).toBe(expected)
  })

  it('as poison when nothing of the run has worked', () => {
    expect(of('agent_threw', 'ValidationError', 'bad', 'none', { stepsCompleted: 0 })).toBe('poison_input')
    expect(of('agent_threw', 'ValidationError', 'bad', 'none', { stepsCompleted: 3 })).toBe('code_bug')
    expect(of('agent_threw', 'InvalidUpdateError', 'Expected dict', 'none', { stepsCompleted: 0 })).toBe('poison_input')
    expect(of('attempts_exhausted', null, '11 attempts', 'none', { stepsCompleted: 0 })).toBe('poison_input')
  })

  it('by the cause in another run, whatever the step here was', () => {
    const chain = [
      { executionId: 'run-1', code: 'child_failed', detail: 'child failed' },
      { executionId: 'run-2', code: 'model_rate_limited', detail: 'slow down' },
    ]
    const all = facts({ chain, step: { path: 'c#1', name: 'c', kind: 'child' } })
    expect(classify(all, rootCauseOf(chain))).toMatchObject({ class: 'rate_limit', by: 'code model_rate_limited' })
  })

  it('whatever the code', () => {
    for (const code of errorCodes) expect(failureClasses).toContain(of(code, null, 'x', 'none'))
  })
})

it('reads how long the provider asked to wait', () => {
  const error = { code: 'model_rate_limited' as const, detail: '', retryable: true }
  expect(retryAfterMsOf({ ...error, data: { retryAfterMs: 1500 } })).toBe(1500)
  expect(retryAfterMsOf({ ...error, data: { retryAfterMs: 'soon' } })).toBeNull()
  expect(retryAfterMsOf({ ...error, data: [1] })).toBeNull()
  expect(retryAfterMsOf(error)).toBeNull()
})
