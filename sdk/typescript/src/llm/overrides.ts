import type { RunOverrides } from '@omium/schemas'
import type { ChatMessage, ChatRequest } from './model.ts'

/** A token is about four characters of English; what is cut by this is cut before a provider would refuse it. */
const charsPerToken = 4

const tokensOf = (value: unknown): number => Math.ceil((JSON.stringify(value) ?? '').length / charsPerToken)

const isInstruction = ({ role }: ChatMessage): boolean => role === 'system' || role === 'developer'

/**
 * The newest messages that fit, with all instructions and at least the last message. What remains never begins with the
 * answers of tools whose calls were left out: providers refuse those.
 */
const newest = (messages: readonly ChatMessage[], maxTokens: number): ChatMessage[] => {
  let left = maxTokens - messages.filter(isInstruction).reduce((sum, message) => sum + tokensOf(message), 0)
  let from = messages.length
  for (let i = messages.length - 1; i >= 0; i--) {
    const message = messages[i] as ChatMessage
    if (isInstruction(message)) continue
    left -= tokensOf(message)
    if (left < 0 && from < messages.length) break
    from = i
  }
  while (messages[from]?.role === 'tool' && from < messages.length - 1) from++
  return messages.filter((message, i) => i >= from || isInstruction(message))
}

/** The request as it is sent: as the code asked, but for what the run's overrides say. Its recorded identity stays the code's. */
export const overridden = (request: ChatRequest, overrides: RunOverrides | undefined): ChatRequest => {
  if (!overrides) return request
  const { models, instructions, maxInputTokens } = overrides
  const kept = maxInputTokens === undefined ? request.messages : newest(request.messages, maxInputTokens)
  const messages: readonly ChatMessage[] =
    instructions === undefined ? kept : [...kept, { role: 'system', content: instructions }]
  return { ...request, model: models?.[request.model] ?? models?.['*'] ?? request.model, messages }
}
