import type { ChatRequest } from './openai.ts'
import { parseJson } from './text.ts'

/** A chat request as the roles read it. */
export interface Conversation {
  readonly system: string
  /** the first user message: the task, without what a framework puts around it */
  readonly task: string
  /** what the task came with: results of tasks before it */
  readonly context: string
  /** user messages after the task: what other members of a team, or people, said */
  readonly later: readonly string[]
  /** results of tools, in the order of the calls, with the name of the tool that gave them */
  readonly toolResults: readonly { readonly tool: string; readonly result: unknown }[]
  /** the offered tools */
  readonly tools: readonly {
    readonly name: string
    readonly description: string
    /** names of the parameters that a call has to give */
    readonly required: readonly string[]
  }[]
  /** name of the first offered tool that fits, undefined when none does */
  tool(pattern: RegExp): string | undefined
}

export const readConversation = (request: ChatRequest): Conversation => {
  const toolOfCall = new Map<string, string>()
  const toolResults: { tool: string; result: unknown }[] = []
  const said: string[] = []
  let system = ''
  let spoken = ''
  for (const message of request.messages) {
    switch (message.role) {
      case 'system':
      case 'developer':
        system += `${message.content}\n`
        break
      case 'user':
        if (message.content) said.push(message.content)
        break
      case 'assistant':
        spoken ||= message.content
        for (const call of message.tool_calls ?? []) toolOfCall.set(call.id, call.function.name)
        break
      case 'tool':
        toolResults.push({
          tool: toolOfCall.get(message.tool_call_id) ?? 'unknown',
          result: parseJson(message.content) ?? message.content,
        })
        break
    }
  }
  // agents in a chain speak to each other as assistants
  const [first = spoken, ...later] = said
  return {
    system,
    ...unwrapped(first),
    later,
    toolResults,
    tools: (request.tools ?? []).map(({ function: { name, description = '', parameters } }) => ({
      name,
      description,
      required: parameters?.required ?? [],
    })),
    tool: (pattern) => request.tools?.find((offered) => pattern.test(offered.function.name))?.function.name,
  }
}

/** CrewAI's frame around a task: what is expected of the answer, and what the tasks before it gave. */
const frame =
  /^\s*Current Task: (?<task>[\s\S]*?)\n\nThis is the expected criteria for your final answer: [\s\S]*?(?:\n\nThis is the context you're working with:\n(?<context>[\s\S]*))?$/

const unwrapped = (text: string): { task: string; context: string } => {
  const groups = frame.exec(text)?.groups
  return groups
    ? { task: (groups['task'] ?? '').trim(), context: groups['context'] ?? '' }
    : { task: text, context: '' }
}
