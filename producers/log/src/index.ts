export type * from './contract.ts'
export { connectKafka, type KafkaOptions } from './kafka/connect.ts'
export type { Notice } from './kafka/connection.ts'
export type * from './transport.ts'
