import type { Command } from 'commander'
import { clientOf } from '../connection.ts'
import type { Io } from '../io.ts'
import { table } from '../output.ts'

export const addAgentsCommand = (program: Command, io: Io): void => {
  program
    .command('agents')
    .description('what can be started')
    .command('ls')
    .description('list the agents that workers have announced')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: { json?: boolean }) => {
      const agents = await clientOf(io).agents()
      if (json) for (const agent of agents) io.out(JSON.stringify(agent))
      else if (agents.length === 0) io.out('no agents: start a worker')
      else
        io.out(
          table(
            ['agent', 'description', 'registered'],
            agents.map(({ agent, description, registeredAt }) => [agent, description ?? '', registeredAt]),
          ),
        )
    })
}
