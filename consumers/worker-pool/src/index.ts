export { type PoolConfig, readConfig } from './config.ts'
export { type LoadedAgents, loadAgents } from './load-agents.ts'
export { type Pool, startPool } from './pool.ts'
