import { describeTransportContract } from '../transport-contract.ts'
import { SimulatedLog } from './log.ts'
import { SimulatedGroups, simulatedTransport } from './transport.ts'
import { Process, World } from './world.ts'

describeTransportContract('the simulated log', async () => {
  const world = new World(1)
  const log = new SimulatedLog(world)
  let stopped = false
  const running = world.runFreely(() => stopped)
  return {
    transport: simulatedTransport(log, new SimulatedGroups(log), new Process('contract')),
    topic: (name) => name,
    sessionTimeoutMs: 100,
    close: async () => {
      stopped = true
      world.wake()
      await running
    },
  }
})
