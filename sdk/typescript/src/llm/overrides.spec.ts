import { describe, expect, it } from 'vitest'
import type { ChatMessage, ChatRequest } from './model.ts'
import { overridden } from './overrides.ts'

const system: ChatMessage = { role: 'system', content: 'You are brief.' }
const user = (content: string): ChatMessage => ({ role: 'user', content })
const request = (...messages: ChatMessage[]): ChatRequest => ({ model: 'large', messages, temperature: 0 })

describe('overrides of a model call', () => {
  it('leave a request alone without them', () => {
    const asked = request(system, user('hi'))
    expect(overridden(asked, undefined)).toBe(asked)
    expect(overridden(asked, {})).toEqual(asked)
  })
  it('take another model, the one named before the one for any', () => {
    const models = { large: 'medium', '*': 'small' }
    expect(overridden(request(user('hi')), { models }).model).toBe('medium')
    expect(overridden({ ...request(user('hi')), model: 'tiny' }, { models }).model).toBe('small')
  })
  it('add instructions after what the code said', () => {
    expect(overridden(request(system, user('hi')), { instructions: 'Answer in JSON.' }).messages.at(-1)).toEqual({
      role: 'system',
      content: 'Answer in JSON.',
    })
  })
  it('leave out the oldest messages first, and never the instructions or the last message', () => {
    const messages = [system, user('a'.repeat(400)), user('b'.repeat(400)), user('c'.repeat(40))]
    const kept = overridden(request(...messages), { maxInputTokens: 150 }).messages
    expect(kept).toEqual([system, messages[2], messages[3]])
    expect(overridden(request(...messages), { maxInputTokens: 1 }).messages).toEqual([system, messages[3]])
  })
  it("leave no tool's answer without its call", () => {
    const call: ChatMessage = {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: 'x'.repeat(400) } }],
    }
    const answer: ChatMessage = { role: 'tool', content: 'y', tool_call_id: '1' }
    const kept = overridden(request(system, call, answer, user('and?')), { maxInputTokens: 60 }).messages
    expect(kept).toEqual([system, user('and?')])
  })
})
