import { OmiumError, type Settings } from '@omium/schemas'
import { createAwsKms } from './aws-kms.ts'
import { type Kms, withFormer } from './kms.ts'
import { createLocalKms } from './local-kms.ts'

export const kmsSettings = [
  'OMIUM_KMS',
  'OMIUM_KMS_KEY_ID',
  'OMIUM_KMS_REGION',
  'OMIUM_KMS_ENDPOINT',
  'OMIUM_MASTER_KEYS',
] as const
export type KmsSettings = Settings<(typeof kmsSettings)[number]>

/**
 * The key management that the settings ask for. What the other one has wrapped opens too, as long as it is set up: so an
 * installation moves by setting up both, `omium privacy rotate`, and taking the former away.
 * @throws OmiumError `settings_invalid`
 */
export const kmsOf = (settings: KmsSettings): Kms => {
  const { OMIUM_KMS: wanted, OMIUM_KMS_KEY_ID: keyId, OMIUM_MASTER_KEYS: masterKeys } = settings
  const local = masterKeys.length > 0 || wanted === 'local' ? createLocalKms(masterKeys) : undefined
  const aws =
    keyId === undefined
      ? undefined
      : createAwsKms({ keyId, region: settings.OMIUM_KMS_REGION, endpoint: settings.OMIUM_KMS_ENDPOINT })
  const [current, former] = wanted === 'aws' ? [aws, local] : [local, aws]
  if (!current) throw new OmiumError('settings_invalid', 'OMIUM_KMS_KEY_ID: OMIUM_KMS=aws needs the key that wraps')
  return withFormer(current, former ? [former] : [])
}
