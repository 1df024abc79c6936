import { objectSettings, settingsOrExit } from '@omium/kit'
import { logSettings } from '@omium/log'

const names = [
  ...logSettings,
  ...objectSettings,
  'OMIUM_OWNER_SESSION_TIMEOUT_MS',
  'OMIUM_SNAPSHOT_EVERY',
  'OMIUM_TOKEN_SECRET',
  'OMIUM_REDIS_URL',
  'OMIUM_ENGINE_HOST',
  'OMIUM_ENGINE_PORT',
  'OMIUM_ENGINE_ADVERTISED_URL',
  'OMIUM_WORKER_HEARTBEAT_MS',
  'OMIUM_WORKER_LEASE_MS',
  'OMIUM_LOG_LEVEL',
] as const

/** Everything that this process can be told, checked; prints what is wrong and exits otherwise. */
export const readConfig = () => settingsOrExit(names)
