import { capabilitySettings, settingsOrExit } from '@omium/kit'

const names = [
  ...capabilitySettings,
  'OMIUM_DATABASE_URL',
  'OMIUM_IDENTITY_PORT',
  'OMIUM_DNS_SERVERS',
  'OMIUM_DOMAIN_CHECK_MS',
  'OMIUM_DOMAIN_GRACE_MS',
] as const

/** Everything that this process can be told, checked; prints what is wrong and exits otherwise. */
export const readConfig = () => settingsOrExit(names)
