import { capabilitySettings, settingsOrExit } from '@omium/kit'

const names = [
  ...capabilitySettings,
  'OMIUM_CHECKPOINTS_PORT',
  'OMIUM_CHECKPOINT_SWEEP_MS',
  'OMIUM_ENCRYPTION_KEYS',
] as const

/** Everything that this process can be told, checked; prints what is wrong and exits otherwise. */
export const readConfig = () => settingsOrExit(names)
