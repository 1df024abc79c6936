import type { EventView, JsonValue } from '@omium/schemas'
import { hashJson } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { modelKey, repeatedAfterRecording, type SeenEvent, stepRows, takeovers, toolCalls } from './account.ts'

const at = (ms: number): string => new Date(ms).toISOString()
let version = 0
const seen = (executionId: string, type: string, ms: number, data: JsonValue): SeenEvent => {
  const event: EventView = { id: `evt_${++version}`, type, version, time: at(ms), actor: 'x', position: '0:1', data }
  return { executionId, event, seenAt: ms + 2 }
}
const step = (executionId: string, ms: number, attempt: number, kind: string, name: string, input: JsonValue) =>
  seen(executionId, 'StepCompleted', ms, {
    attempt,
    path: `${name}#1`,
    name,
    kind,
    stepAttempt: 1,
    requestHash: 'h',
    input: { inline: input },
    output: { inline: null },
    startedAt: ms - 5,
    durationMs: 5,
    usage: { inputTokens: 10, outputTokens: 5, costMicroCredits: 30 },
  })

const request = { model: 'm', messages: [] }
const history = [
  seen('run', 'ExecutionRequested', 0, { agentId: 'team' }),
  seen('run', 'ExecutionStarted', 10, { attempt: 1, workerId: 'wrk_a' }),
  step('run', 20, 1, 'llm', 'chat', request),
  seen('run', 'AttemptLost', 110, { attempt: 1, workerId: 'wrk_a' }),
  seen('run', 'ExecutionStarted', 120, { attempt: 2, workerId: 'wrk_b' }),
  step('run', 150, 2, 'tool', 'search', { query: 'q' }),
]

describe('the account of a demo', () => {
  it('tells replayed steps from those that ran, with tokens and cost', () => {
    expect(stepRows(history).map(({ path, attempt, replays, tokens }) => ({ path, attempt, replays, tokens }))).toEqual(
      [
        { path: 'chat#1', attempt: 1, replays: 1, tokens: 15 },
        { path: 'search#1', attempt: 2, replays: 0, tokens: 15 },
      ],
    )
  })

  it('measures from the kill to the new attempt and to its first recorded step', () => {
    expect(takeovers(history, { at: 100, workerId: 'wrk_a' })).toEqual([
      { executionId: 'run', agent: 'team', lostAttempt: 1, startedAfterMs: 22, firstStepAfterMs: 52 },
    ])
    expect(takeovers(history, { at: 100, workerId: 'wrk_c' })).toEqual([])
  })

  it('accepts one call for each step, and one more that was in flight at the kill', () => {
    const key = modelKey(hashJson(request))
    const rows = stepRows(history)
    expect(repeatedAfterRecording([{ key, at: 16 }], rows)).toEqual([])
    const inFlight = toolCalls([
      { at: 95, pid: 1, tool: 'search', executionId: 'run', request: '{"query":"q"}' },
      { at: 148, pid: 2, tool: 'search', executionId: 'run', request: '{"query":"q"}' },
    ])
    expect(repeatedAfterRecording(inFlight, rows)).toEqual([])
  })

  it('catches a recorded call that was made again', () => {
    const key = modelKey(hashJson(request))
    const again = [
      { key, at: 16 },
      { key, at: 130 },
    ]
    expect(repeatedAfterRecording(again, stepRows(history))).toEqual([key])
  })

  it('does not take equal requests of two steps for a repetition', () => {
    const two = [...history, step('other', 200, 1, 'llm', 'chat', request)]
    const key = modelKey(hashJson(request))
    const calls = [
      { key, at: 16 },
      { key, at: 190 },
    ]
    expect(repeatedAfterRecording(calls, stepRows(two))).toEqual([])
    expect(repeatedAfterRecording([...calls, { key, at: 195 }], stepRows(two))).toEqual([key])
  })
})
