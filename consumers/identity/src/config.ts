import { capabilitySettings, settingsOrExit } from '@omium/kit'

const names = [...capabilitySettings, 'OMIUM_DATABASE_URL', 'OMIUM_IDENTITY_PORT'] as const

/** Everything that this process can be told, checked; prints what is wrong and exits otherwise. */
export const readConfig = () => settingsOrExit(names)
