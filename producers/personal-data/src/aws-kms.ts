import {
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  KMSClient,
  KMSServiceException,
} from '@aws-sdk/client-kms'
import { createOutsideCalls } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import type { KmsAdapter } from './kms.ts'

export interface AwsKmsOptions {
  /** id, ARN or alias of a symmetric key: what wraps now. At most 200 characters */
  readonly keyId: string
  readonly region: string
  /** another address than AWS's own */
  readonly endpoint?: string | undefined
  /** of one try, ms */
  readonly timeoutMs?: number
}

const mark = 255

/** what is asked is refused, however often it is asked */
const isFinal = (error: unknown): boolean =>
  error instanceof KMSServiceException && error.$fault === 'client' && error.$retryable === undefined

/** the ciphertext does not belong to the subject, or was changed */
const isForeign = ({ name }: KMSServiceException): boolean =>
  name === 'InvalidCiphertextException' || name === 'IncorrectKeyException'

/**
 * AWS KMS. What is wrapped is bound to its subject by the encryption context, which AWS logs in the clear: subjects are ids and
 * digests. A wrapped key is `255, length of key id, key id, ciphertext`. Credentials come from where AWS's own programs find them.
 */
export const createAwsKms = ({ keyId, region, endpoint, timeoutMs = 3_000 }: AwsKmsOptions): KmsAdapter => {
  const client = new KMSClient({ region, maxAttempts: 1, ...(endpoint !== undefined && { endpoint }) })
  // every call may be made twice: the worst is a data key that nobody uses
  const aws = createOutsideCalls({ target: 'AWS KMS', timeoutMs, tries: 3, isFinal })
  const header = Buffer.concat([Buffer.from([mark, Buffer.byteLength(keyId)]), Buffer.from(keyId)])
  const bound = (subject: string) => ({ EncryptionContext: { 'omium:subject': subject } })
  const bodyOf = (wrapped: Uint8Array): Uint8Array => wrapped.subarray(2 + (wrapped[1] ?? 0))

  const ask = async <T>(request: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    try {
      return await aws.call(request)
    } catch (error) {
      if (error instanceof OmiumError || (error instanceof KMSServiceException && isForeign(error))) throw error
      const { name } = error as Error
      throw isFinal(error)
        ? new OmiumError('settings_invalid', `AWS KMS refuses the key ${keyId}: ${name}`, { cause: error })
        : new OmiumError('unavailable', `AWS KMS cannot be asked: ${name}`, { cause: error })
    }
  }
  const sealed = (blob: Uint8Array | undefined): Buffer => {
    if (!blob) throw new OmiumError('unavailable', 'AWS KMS gave an empty answer')
    return Buffer.concat([header, blob])
  }
  const given = (plain: Uint8Array | undefined): Uint8Array => {
    if (!plain) throw new OmiumError('unavailable', 'AWS KMS gave an empty answer')
    return plain
  }

  return {
    generate: (subject) =>
      ask(async (abortSignal) => {
        const command = new GenerateDataKeyCommand({ KeyId: keyId, KeySpec: 'AES_256', ...bound(subject) })
        const { Plaintext, CiphertextBlob } = await client.send(command, { abortSignal })
        return { key: given(Plaintext), wrapped: sealed(CiphertextBlob) }
      }),
    wrap: (bytes, subject) =>
      ask(async (abortSignal) => {
        const command = new EncryptCommand({ KeyId: keyId, Plaintext: bytes, ...bound(subject) })
        return sealed((await client.send(command, { abortSignal })).CiphertextBlob)
      }),
    // AWS knows the key from the ciphertext: what a former key has wrapped opens as long as that key is there
    unwrap: (wrapped, subject) =>
      ask(async (abortSignal) => {
        const command = new DecryptCommand({ CiphertextBlob: bodyOf(wrapped), ...bound(subject) })
        return given((await client.send(command, { abortSignal })).Plaintext)
      }),
    isCurrent: (wrapped) => header.equals(wrapped.subarray(0, header.length)),
    owns: (wrapped) => wrapped[0] === mark,
    close: () => {
      aws.close()
      client.destroy()
    },
  }
}
