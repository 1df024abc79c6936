import type { ChatRequest } from './openai.ts'
import { parseJson } from './text.ts'

/** A chat request as the roles read it. */
export interface Conversation {
  readonly system: string
  /** the first user message: the task */
  readonly task: string
  /** results of tools, in the order of the calls, with the name of the tool that gave them */
  readonly toolResults: readonly { readonly tool: string; readonly result: unknown }[]
  /** name of the first offered tool that fits, undefined when none does */
  tool(pattern: RegExp): string | undefined
}

export const readConversation = (request: ChatRequest): Conversation => {
  const toolOfCall = new Map<string, string>()
  const toolResults: { tool: string; result: unknown }[] = []
  let system = ''
  let task = ''
  for (const message of request.messages) {
    switch (message.role) {
      case 'system':
      case 'developer':
        system += `${message.content}\n`
        break
      case 'user':
        task ||= message.content
        break
      case 'assistant':
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
  return {
    system,
    task,
    toolResults,
    tool: (pattern) => request.tools?.find((offered) => pattern.test(offered.function.name))?.function.name,
  }
}
