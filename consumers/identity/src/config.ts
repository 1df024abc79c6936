import { capabilitySettings, settingsOrExit } from '@omium/kit'
import { kmsSettings } from '@omium/personal-data'

const names = [
  ...capabilitySettings,
  'OMIUM_DATABASE_URL',
  'OMIUM_IDENTITY_PORT',
  'OMIUM_DNS_SERVERS',
  'OMIUM_DOMAIN_CHECK_MS',
  'OMIUM_DOMAIN_GRACE_MS',
  'OMIUM_SMTP_URL',
  'OMIUM_MAIL_FROM',
  'OMIUM_URL',
  ...kmsSettings,
] as const

/** Everything that this process can be told, checked; prints what is wrong and exits otherwise. */
export const readConfig = () => settingsOrExit(names)
