import { OmiumError } from '@omium/schemas'
import { z } from 'zod'
import { type Loose, listOf, looseOf, textIn } from '../dialects/dialect.ts'
import { type ChatMessage, type ChatRequest, type ContentPart, chatRequest, modelName } from './chat.ts'

/**
 * OpenAI's Responses API, as what it says in terms of chat completions, which every provider is asked in.
 *
 * 1. Nothing is kept between requests: what refers to an earlier response is refused, never answered without it.
 * 2. Tools are functions; those that run at OpenAI are refused.
 * 3. Members that are not named here go on to providers that speak OpenAI's API, as with chat completions.
 */
const nullish = <T extends z.ZodType>(schema: T) => schema.nullish()
const item = z.looseObject({ type: nullish(z.string().max(100)) })

export const responsesRequest = z.looseObject({
  model: modelName,
  input: z.union([z.string(), z.array(item).min(1).max(10_000)]),
  instructions: nullish(z.string()),
  tools: nullish(z.array(z.looseObject({ type: z.string() })).max(1000)),
  tool_choice: nullish(
    z.union([z.enum(['none', 'auto', 'required']), z.looseObject({ type: z.string(), name: nullish(z.string()) })]),
  ),
  parallel_tool_calls: nullish(z.boolean()),
  max_output_tokens: nullish(z.number().int().positive()),
  temperature: nullish(z.number()),
  top_p: nullish(z.number()),
  text: nullish(
    z.looseObject({ format: nullish(z.looseObject({ type: z.string() })), verbosity: nullish(z.string()) }),
  ),
  reasoning: nullish(z.looseObject({ effort: nullish(z.string()) })),
  stream: nullish(z.boolean()),
  previous_response_id: nullish(z.string()),
  conversation: nullish(z.unknown()),
  background: nullish(z.boolean()),
  prompt: nullish(z.unknown()),
  truncation: nullish(z.enum(['auto', 'disabled'])),
  top_logprobs: nullish(z.number()),
  metadata: nullish(z.record(z.string(), z.unknown())),
  user: nullish(z.string().max(500)),
})
export type ResponsesRequest = z.infer<typeof responsesRequest>

const refuse = (where: string, why: string): never => {
  throw new OmiumError('invalid_request', `${where}: ${why}`)
}

const notKept = 'responses are not kept here; send the whole conversation as `input`'

/** @throws OmiumError `invalid_request` naming what cannot be asked for */
export const chatOf = (request: ResponsesRequest): ChatRequest => {
  const { model, input, instructions, text, reasoning, user, stream } = request
  if (request.previous_response_id) refuse('previous_response_id', notKept)
  if (request.conversation) refuse('conversation', notKept)
  if (request.background) refuse('background', 'the answer is given to this request or not at all')
  if (request.prompt) refuse('prompt', 'prompts are not kept here; send `instructions` and `input`')
  if (request.truncation === 'auto') refuse('truncation', 'nothing is left out of the input; use "disabled"')
  if (request.top_logprobs) refuse('top_logprobs', 'there are no probabilities here')
  const messages: ChatMessage[] = instructions ? [{ role: 'system', content: instructions }] : []
  if (typeof input === 'string') messages.push({ role: 'user', content: input })
  else for (const [index, one] of input.entries()) add(messages, one, `input.${index}`)
  const given = {
    ...passedOn(request),
    model,
    messages,
    stream,
    user,
    temperature: request.temperature,
    top_p: request.top_p,
    max_completion_tokens: request.max_output_tokens,
    reasoning_effort: reasoning?.effort,
    verbosity: text?.verbosity,
    response_format: formatOf(text?.format),
    ...toolsOf(request),
  }
  const asked = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null))
  const parsed = chatRequest.safeParse(asked)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  return refuse(issue?.path.join('.') ?? 'input', issue?.message ?? 'it cannot be read')
}

/** What this file deals with, and what only says how the answer is kept or sent. */
const ownMembers = new Set([
  ...Object.keys(responsesRequest.shape),
  'include',
  'store',
  'stream_options',
  'max_tool_calls',
])
const passedOn = (request: ResponsesRequest): Loose =>
  Object.fromEntries(Object.entries(request).filter(([name]) => !ownMembers.has(name)))

/** One item of the input, after those before it. */
const add = (messages: ChatMessage[], one: Loose, where: string): void => {
  switch (one['type'] ?? 'message') {
    case 'message':
      messages.push(messageOf(one, where))
      return
    case 'function_call': {
      const call = callOf(one, where)
      const last = messages.at(-1)
      // what was said and called in one turn is one message
      if (last?.role === 'assistant') last.tool_calls = [...(last.tool_calls ?? []), call]
      else messages.push({ role: 'assistant', content: null, tool_calls: [call] })
      return
    }
    case 'function_call_output':
      messages.push({
        role: 'tool',
        tool_call_id: textIn(one['call_id']) ?? refuse(`${where}.call_id`, 'which call?'),
        content: plainText(one['output'], `${where}.output`),
      })
      return
    case 'reasoning':
      // only its own provider could make use of it, and chat completions have no place for it
      return
    case 'item_reference':
      refuse(where, notKept)
      return
    default:
      refuse(where, `an item of the type ${one['type']} cannot be passed on; there are messages and function calls`)
  }
}

type AssistantCall = NonNullable<Extract<ChatMessage, { role: 'assistant' }>['tool_calls']>[number]

const callOf = (one: Loose, where: string): AssistantCall => {
  const { extra_content: extra } = one
  return {
    id: textIn(one['call_id']) ?? refuse(`${where}.call_id`, 'the id of the call is missing'),
    type: 'function',
    function: {
      name: textIn(one['name']) ?? refuse(`${where}.name`, 'the name of the function is missing'),
      arguments: textIn(one['arguments']) ?? '',
    },
    ...(extra !== undefined && { extra_content: extra }),
  }
}

const messageOf = (one: Loose, where: string): ChatMessage => {
  const { role, content } = one
  switch (role) {
    case 'system':
    case 'developer':
    case 'assistant':
      return { role, content: plainText(content, `${where}.content`) }
    case 'user':
      return { role, content: partsOf(content, `${where}.content`) }
    default:
      return refuse(`${where}.role`, 'expected user, assistant, system or developer')
  }
}

const textOfPart = (part: Loose): string | undefined => {
  const { type } = part
  if (type === 'input_text' || type === 'output_text' || type === 'text') return textIn(part['text']) ?? ''
  return type === 'refusal' ? (textIn(part['refusal']) ?? '') : undefined
}

const plainText = (content: unknown, where: string): string => {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return refuse(where, 'expected text, or a list of its parts')
  return listOf(content)
    .map((part, index) => textOfPart(part) ?? refuse(`${where}.${index}`, `${part['type']} is not text`))
    .join('')
}

const partsOf = (content: unknown, where: string): string | ContentPart[] => {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return refuse(where, 'expected text, or a list of parts')
  const parts = listOf(content).map((part, index) => partOf(part, `${where}.${index}`))
  const [first, ...more] = parts
  return first?.type === 'text' && more.length === 0 ? String(first['text']) : parts
}

const partOf = (part: Loose, where: string): ContentPart => {
  const text = textOfPart(part)
  if (text !== undefined) return { type: 'text', text }
  if (part['file_id'] || part['file_url']) refuse(where, 'files are not kept or fetched here; send their data')
  switch (part['type']) {
    case 'input_image':
      return {
        type: 'image_url',
        image_url: { url: textIn(part['image_url']) ?? '', ...(part['detail'] ? { detail: part['detail'] } : {}) },
      }
    case 'input_file':
      return {
        type: 'file',
        file: { file_data: part['file_data'], ...(part['filename'] ? { filename: part['filename'] } : {}) },
      }
    case 'input_audio':
      return { type: 'input_audio', input_audio: looseOf(part['input_audio']) }
    default:
      return refuse(where, `content of the type ${part['type']} cannot be passed on`)
  }
}

const without = (value: Loose, ...names: readonly string[]): Loose =>
  Object.fromEntries(Object.entries(value).filter(([name, one]) => !names.includes(name) && one !== null))

const toolsOf = ({ tools, tool_choice: choice, parallel_tool_calls: parallel }: ResponsesRequest): Loose => {
  const functions = (tools ?? []).map((tool, index) =>
    tool.type === 'function'
      ? { type: 'function', function: without(tool, 'type') }
      : refuse(`tools.${index}`, `a tool of the type ${tool.type} runs elsewhere; here there are functions`),
  )
  if (typeof choice === 'object' && choice && choice.type !== 'function')
    refuse('tool_choice', `${choice.type} cannot be asked for; use none, auto, required or a function`)
  if (functions.length === 0) return {}
  const chosen = typeof choice === 'object' && choice ? { type: 'function', function: { name: choice.name } } : choice
  return { tools: functions, tool_choice: chosen, parallel_tool_calls: parallel }
}

const formatOf = (format: Loose | null | undefined): Loose | undefined => {
  if (!format || format['type'] === 'text') return undefined
  return format['type'] === 'json_schema' ? { type: 'json_schema', json_schema: without(format, 'type') } : format
}
