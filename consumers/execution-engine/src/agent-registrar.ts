import type { Notices } from '@omium/kit'
import type { CommandSender } from '@omium/log'
import { type AgentDefinition, aggregateKey, hashJson, type IdSource } from '@omium/schemas'
import type { AgentRegistrar } from './ports.ts'

/**
 * Announces agents as commands. A definition goes out when it differs from the last one that this process announced for
 * the agent: with ids made from the definition, going back to an earlier one would be taken for a repetition.
 */
export const createAgentRegistrar = (port: {
  commands: CommandSender
  ids: IdSource
  notices: Notices
}): AgentRegistrar => {
  const announced = new Map<string, string>()
  const send = async (tenant: string, actor: string, definition: AgentDefinition): Promise<void> => {
    const aggregate = aggregateKey('agent', tenant, definition.agentId)
    const definitionHash = hashJson(definition)
    if (announced.get(aggregate) === definitionHash) return
    announced.set(aggregate, definitionHash)
    try {
      await port.commands.send({
        id: port.ids('command'),
        type: 'RegisterAgent',
        data: { definition, definitionHash },
        aggregate,
        tenant,
        actor,
        correlationId: port.ids('command'),
      })
    } catch (error) {
      // the next worker that brings it tries again
      if (announced.get(aggregate) === definitionHash) announced.delete(aggregate)
      port.notices.warn({ err: error, aggregate }, 'an agent could not be announced')
    }
  }
  return {
    announce(tenant, actor, agents) {
      for (const definition of agents) void send(tenant, actor, definition)
    },
  }
}
