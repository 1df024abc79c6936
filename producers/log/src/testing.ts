export { type FaultProxy, kafkaApi, startFaultProxy } from '../test/fault-proxy.ts'
export { Random } from './simulation/world.ts'
export { describeTransportContract } from './transport-contract.ts'
