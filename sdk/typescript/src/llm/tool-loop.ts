import { type JsonValue, OmiumError, type Usage } from '@omium/schemas'
import { z } from 'zod'
import { issuesOf } from '../agent.ts'
import type { StepInfo, StepOptions } from '../step.ts'
import type { ChatMessage, ChatRequest, ChatResult, Tool, ToolCall, ToolLoopRequest, ToolLoopResult } from './model.ts'

/** What the loop needs of a run: both are recorded. */
export interface ToolLoopSteps {
  chat(request: ChatRequest): Promise<ChatResult>
  toolStep(name: string, fn: (info: StepInfo) => unknown, options: StepOptions<unknown>): Promise<unknown>
}

const defaultMaxTurns = 10

const describeTool = (tool: Tool): JsonValue => ({
  type: 'function',
  function: {
    name: tool.name,
    ...(tool.description !== undefined && { description: tool.description }),
    parameters: z.toJSONSchema(tool.schema, { io: 'input', unrepresentable: 'any' }) as JsonValue,
  },
})

const sum = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0)

const addUsage = (total: Usage, more: Usage): Usage => {
  const inputTokens = sum(total.inputTokens, more.inputTokens)
  const outputTokens = sum(total.outputTokens, more.outputTokens)
  const costMicroCredits = sum(total.costMicroCredits, more.costMicroCredits)
  return {
    ...(more.model !== undefined && { model: more.model }),
    ...(inputTokens !== undefined && { inputTokens }),
    ...(outputTokens !== undefined && { outputTokens }),
    ...(costMicroCredits !== undefined && { costMicroCredits }),
  }
}

/** Errors that a model can do nothing about: they end the loop instead of being told to it. */
const fatal: readonly string[] = [
  'step_outcome_unknown',
  'budget_exceeded',
  'output_invalid',
  'replay_mismatch',
  'replay_miss',
]

/** Runs one tool call as a recorded step; what goes wrong in the tool is told to the model, which may try otherwise. */
const answer = async (call: ToolCall, tools: ReadonlyMap<string, Tool>, steps: ToolLoopSteps): Promise<string> => {
  const { name, arguments: text } = call.function
  const tool = tools.get(name)
  if (!tool) return `error: there is no tool "${name}"; there are: ${[...tools.keys()].join(', ')}`
  let given: JsonValue
  try {
    given = JSON.parse(text || '{}') as JsonValue
  } catch {
    return 'error: the arguments are not valid JSON'
  }
  const parsed = await tool.schema.safeParseAsync(given)
  if (!parsed.success) return `error: the arguments do not fit: ${issuesOf(parsed.error)}`
  try {
    const output = await steps.toolStep(tool.name, (info) => tool.execute(parsed.data as never, info), {
      input: given,
      ...(tool.retry !== undefined && { retry: tool.retry }),
      ...(tool.timeoutMs !== undefined && { timeoutMs: tool.timeoutMs }),
      ...(tool.effect !== undefined && { effect: tool.effect }),
    })
    return typeof output === 'string' ? output : JSON.stringify(output)
  } catch (error) {
    if (error instanceof OmiumError && fatal.includes(error.code)) throw error
    return `error: ${error instanceof Error ? error.message : String(error)}`
  }
}

/**
 * Asks the model, runs the tools it calls (those of one answer in parallel), and asks again until it answers without tools.
 * @throws OmiumError `step_failed` after `maxTurns` completions without a final answer
 */
export const runToolLoop = async (request: ToolLoopRequest, steps: ToolLoopSteps): Promise<ToolLoopResult> => {
  const { tools, maxTurns = defaultMaxTurns, messages: first, model, ...rest } = request
  const byName = new Map(tools.map((tool) => [tool.name, tool]))
  const described = tools.map(describeTool)
  const messages: ChatMessage[] = [...first]
  let usage: Usage = {}
  for (let turn = 1; turn <= maxTurns; turn++) {
    const chat: ChatRequest = {
      ...rest,
      model,
      messages: [...messages],
      ...(described.length > 0 && { tools: described }),
    }
    const result = await steps.chat(chat)
    usage = addUsage(usage, result.usage)
    messages.push(result.message)
    const calls = result.message.tool_calls ?? []
    if (calls.length === 0) return { content: result.content, messages, turns: turn, usage }
    const answers = await Promise.all(calls.map((call) => answer(call, byName, steps)))
    calls.forEach((call, i) => {
      messages.push({ role: 'tool', tool_call_id: call.id, content: answers[i] ?? '' })
    })
  }
  throw new OmiumError(
    'step_failed',
    `${model} still calls tools after ${maxTurns} turns; raise maxTurns or change the prompt`,
    {
      retryable: false,
    },
  )
}
