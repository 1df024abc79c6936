import { capabilitySettings, settingsOrExit } from '@omium/kit'
import { kmsSettings } from '@omium/personal-data'
import { egressSettings } from '@omium/safe-fetch'

const names = [
  ...capabilitySettings,
  ...egressSettings,
  ...kmsSettings,
  'OMIUM_DATABASE_URL',
  'OMIUM_WEBHOOKS_PORT',
  'OMIUM_WEBHOOK_RETRIES_MS',
  'OMIUM_WEBHOOK_DISABLE_AFTER_MS',
  'OMIUM_WEBHOOK_KEEP_MS',
  'OMIUM_WEBHOOK_TIMEOUT_MS',
] as const

/** Everything that this process can be told, checked; prints what is wrong and exits otherwise. */
export const readConfig = () => settingsOrExit(names)
