import { type Conversation, readConversation } from './conversation.ts'
import type { Answer, ChatRequest } from './openai.ts'
import { assist } from './roles/assistant.ts'
import { buy } from './roles/buyer.ts'
import { criticise } from './roles/critic.ts'
import { extract } from './roles/extractor.ts'
import { asksForForm, fillForm } from './roles/form.ts'
import { decide } from './roles/lead.ts'
import { plan } from './roles/planner.ts'
import { research } from './roles/researcher.ts'
import { review } from './roles/reviewer.ts'
import { supervise } from './roles/supervisor.ts'
import { support, triage } from './roles/support.ts'
import { write } from './roles/writer.ts'

const roles: readonly [role: RegExp, play: (conversation: Conversation) => Answer][] = [
  [/\byou are the planner\b/i, plan],
  [/\byou are a researcher\b/i, research],
  [/\byou are the critic\b/i, criticise],
  [/\byou are the writer\b/i, write],
  [/\byou are the buyer\b/i, buy],
  [/\byou are a reviewer\b/i, review],
  [/\byou are the lead of a review\b/i, decide],
  [/\byou are the triage desk\b/i, triage],
  [/\byou are a support specialist\b/i, support],
  [/\byou are an extractor\b/i, extract],
  [/\byou are the supervisor\b/i, supervise],
]

/** The scripted model: a pure function of the request. The system prompt says which role it plays. */
export const answer = (request: ChatRequest): Answer => {
  const conversation = readConversation(request)
  const play =
    roles.find(([role]) => role.test(conversation.system))?.[1] ??
    (asksForForm(conversation.system) ? fillForm : assist)
  return play(conversation)
}
