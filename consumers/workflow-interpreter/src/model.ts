import { type JsonValue, type NodeOf, OmiumError } from '@omium/schemas'
import type { ChatMessage, ChatRequest, ChatResult, ToolCall } from '@omium/sdk'
import { checkValue, toolName } from '@omium/workflow-language'
import { type NodeRun, textOf } from './frame.ts'

/**
 * A model node: one completion; with tools, as many as it takes until the model answers; with a schema, as many more as it
 * may need to put its answer right. Every completion and every call of a tool is recorded.
 */
export const callModel = async (node: NodeOf<'model'>, run: NodeRun): Promise<JsonValue> => {
  const messages = messagesOf(node, run)
  const base: Omit<ChatRequest, 'messages'> & { model: string } = {
    model: run.text(node.model),
    ...(node.temperature !== undefined && { temperature: node.temperature }),
    ...(node.maxTokens !== undefined && { max_tokens: node.maxTokens }),
    ...(node.schema && {
      response_format: { type: 'json_schema', json_schema: { name: run.id, schema: node.schema } },
    }),
  }
  const { retry } = node
  const options = {
    ...run.step(),
    ...(node.timeoutMs !== undefined && { timeoutMs: node.timeoutMs }),
    ...(retry && {
      retry: { maxAttempts: retry.maxAttempts, initialDelayMs: retry.delayMs, backoff: retry.backoff },
    }),
  }
  const chat = (given: readonly ChatMessage[], tools?: readonly JsonValue[]): Promise<ChatResult> =>
    run.ctx.llm.chat({ ...base, messages: given, ...(tools && { tools }) }, options)

  let content = node.tools?.length ? await withTools(node, run, messages, chat) : (await chat(messages)).content
  if (!node.schema) return content
  for (let repair = 0; ; repair++) {
    const read = readAnswer(content, node.schema)
    if ('value' in read) return read.value
    if (repair >= node.repairs)
      throw new OmiumError('model_malformed', `the answer does not fit the schema: ${read.problem}`, {
        retryable: false,
      })
    const plea = `Your answer cannot be used: ${read.problem}. Answer again, with nothing but JSON that fits the schema.`
    content = (await chat([...messages, { role: 'assistant', content }, { role: 'user', content: plea }])).content
  }
}

const messagesOf = (node: NodeOf<'model'>, run: NodeRun): ChatMessage[] => {
  const messages: ChatMessage[] = (node.messages ?? []).map(({ role, content }) => ({
    role,
    content: run.text(content),
  }))
  if (node.system !== undefined) messages.push({ role: 'system', content: run.text(node.system) })
  if (node.schema) {
    const content = `Answer with nothing but JSON that fits this JSON Schema: ${JSON.stringify(node.schema)}`
    messages.push({ role: 'system', content })
  }
  if (node.prompt !== undefined) messages.push({ role: 'user', content: run.text(node.prompt) })
  return messages
}

/** The JSON of an answer; a fence around it is forgiven. */
const readAnswer = (
  content: string,
  schema: Readonly<Record<string, JsonValue>>,
): { value: JsonValue } | { problem: string } => {
  const fenced = /```(?:json)?\s*([\s\S]*?)```/.exec(content)
  let value: JsonValue
  try {
    value = JSON.parse(fenced?.[1] ?? content) as JsonValue
  } catch (error) {
    return { problem: `it is not JSON (${(error as Error).message})` }
  }
  const checked = checkValue(schema, value)
  return 'value' in checked ? checked : { problem: checked.problems.join('; ') }
}

type Tool = NonNullable<NodeOf<'model'>['tools']>[number]

const withTools = async (
  node: NodeOf<'model'>,
  run: NodeRun,
  messages: readonly ChatMessage[],
  chat: (messages: readonly ChatMessage[], tools: readonly JsonValue[]) => Promise<ChatResult>,
): Promise<string> => {
  const tools = new Map((node.tools ?? []).map((tool) => [toolName(tool) ?? tool.agent, tool]))
  const offered = [...tools].map(([name, { description, parameters }]): JsonValue => {
    const taken = parameters ?? { type: 'object', additionalProperties: true }
    return {
      type: 'function',
      function: { name, parameters: taken, ...(description !== undefined && { description }) },
    }
  })
  const conversation = [...messages]
  for (let turn = 1; turn <= node.maxTurns; turn++) {
    const { message, content } = await chat(conversation, offered)
    conversation.push(message)
    if (!message.tool_calls?.length) return content
    const answers = await Promise.all(
      message.tool_calls.map(
        async (call): Promise<ChatMessage> => ({
          role: 'tool',
          tool_call_id: call.id,
          content: await callTool(call, tools, run),
        }),
      ),
    )
    conversation.push(...answers)
  }
  throw new OmiumError('workflow_failed', `the model gave no answer within ${node.maxTurns} turns`)
}

/** What goes wrong in a tool is told to the model, which may try otherwise. */
const callTool = async (
  { function: { name, arguments: text } }: ToolCall,
  tools: ReadonlyMap<string, Tool>,
  run: NodeRun,
): Promise<string> => {
  const tool = tools.get(name)
  if (!tool) return `error: there is no tool "${name}"; there are: ${[...tools.keys()].join(', ')}`
  let input: JsonValue
  try {
    input = JSON.parse(text || '{}') as JsonValue
  } catch {
    return 'error: the arguments are not valid JSON'
  }
  if (tool.parameters) {
    const checked = checkValue(tool.parameters, input)
    if ('problems' in checked) return `error: the arguments do not fit: ${checked.problems.join('; ')}`
    input = checked.value
  }
  try {
    return textOf(await run.ctx.call(tool.agent, input, run.step(name)))
  } catch (error) {
    if (error instanceof OmiumError && error.code === 'child_failed') return `error: ${error.message}`
    throw error
  }
}
