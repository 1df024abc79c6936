export { type PoolConfig, readConfig } from './config.ts'
export { type Pool, startPool } from './pool.ts'
