import type { AgentCommand, AgentDefinition, AgentEvent } from '@omium/schemas'
import type { Decided } from './decision.ts'

/** What a tenant can start, as the worker that announced it last described it. */
export interface AgentState {
  readonly definition: AgentDefinition
  readonly definitionHash: string
}

export const registerAgent = (state: AgentState | undefined, command: AgentCommand): Decided<AgentEvent> => ({
  status: 'decided',
  events:
    state?.definitionHash === command.data.definitionHash ? [] : [{ type: 'AgentRegistered', data: command.data }],
})

export const evolveAgent = (event: AgentEvent): AgentState => event.data
