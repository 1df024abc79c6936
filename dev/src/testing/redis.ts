import { redis } from '../components/redis.ts'
import { type OwnComponent, startOwn } from './own-component.ts'

export const startRedis = (): Promise<OwnComponent> => startOwn(redis)
