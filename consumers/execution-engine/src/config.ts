import { capabilitySettings, settingsOrExit } from '@omium/kit'

const names = [
  ...capabilitySettings,
  'OMIUM_TOKEN_SECRET',
  'OMIUM_URL',
  'OMIUM_REDIS_URL',
  'OMIUM_ENGINE_HOST',
  'OMIUM_ENGINE_PORT',
  'OMIUM_ENGINE_ADVERTISED_URL',
  'OMIUM_WORKER_HEARTBEAT_MS',
  'OMIUM_WORKER_LEASE_MS',
] as const

/** Everything that this process can be told, checked; prints what is wrong and exits otherwise. */
export const readConfig = () => settingsOrExit(names)
