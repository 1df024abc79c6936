import { objectSettings, settingsOrExit } from '@omium/kit'
import { logSettings } from '@omium/log'

const names = [
  ...logSettings,
  ...objectSettings,
  'OMIUM_OWNER_SESSION_TIMEOUT_MS',
  'OMIUM_SNAPSHOT_EVERY',
  'OMIUM_WORKFLOW_MANAGER_PORT',
  'OMIUM_LOG_LEVEL',
] as const

/** Everything that this process can be told, checked; prints what is wrong and exits otherwise. */
export const readConfig = () => settingsOrExit(names)
