import { createHmac } from 'node:crypto'
import { OmiumError } from '@omium/schemas'
import { decrypt, encrypt } from './gcm.ts'
import type { Kms } from './kms.ts'
import type { SubjectKeys } from './subject-keys.ts'

/** See the README for what holds. */
export interface PersonalData {
  /**
   * @param subject letters, digits, `_` and `-`: a user id, or the digest of an address
   * @returns `v1.<subject>.<key version>.<base64url>`
   * @throws OmiumError `unavailable`
   */
  seal(subject: string, text: string): Promise<string>
  /** undefined once the subject is erased, and for what was changed or was never sealed here. @throws OmiumError `unavailable` */
  open(sealed: string): Promise<string | undefined>
  /** HMAC-SHA-256, hex; equal for equal values of one kind */
  digest(kind: string, value: string): string
  /** Destroys what the subject's data could be opened with. What is sealed afterwards has a new key. Idempotent. */
  erase(subject: string): Promise<void>
}

export interface PersonalDataOptions {
  readonly kms: Kms
  readonly keys: SubjectKeys
  /** 32 bytes that never change */
  readonly digestKey: Buffer
  readonly nowMs: () => number
  readonly cacheMs?: number
}

const sealedPattern = /^v1\.([A-Za-z0-9_-]+)\.(\d{1,9})\.([A-Za-z0-9_-]+)$/
const subjectPattern = /^[A-Za-z0-9_-]{1,128}$/
const mostRemembered = 10_000

interface Remembered {
  readonly key: Promise<Uint8Array | null>
  readonly until: number
}

const createKeyring = ({ kms, keys, nowMs, cacheMs = 10_000 }: Omit<PersonalDataOptions, 'digestKey'>) => {
  /** by `subject.version`; null: destroyed */
  const remembered = new Map<string, Remembered>()

  const remember = (name: string, key: Promise<Uint8Array | null>): Promise<Uint8Array | null> => {
    const entry = { key, until: nowMs() + cacheMs }
    remembered.delete(name)
    remembered.set(name, entry)
    if (remembered.size > mostRemembered) remembered.delete(remembered.keys().next().value as string)
    key.catch(() => {
      if (remembered.get(name) === entry) remembered.delete(name)
    })
    return key
  }

  return {
    remember,
    forget: (subject: string): void => {
      for (const name of remembered.keys()) if (name.startsWith(`${subject}.`)) remembered.delete(name)
    },
    keyOf: (subject: string, version: number): Promise<Uint8Array | null> => {
      const name = `${subject}.${version}`
      const known = remembered.get(name)
      // a clock that was set back must not make an erasure wait for it
      if (known && known.until > nowMs() && known.until - cacheMs <= nowMs()) return known.key
      return remember(
        name,
        keys.find(subject, version).then((found) => (found?.wrapped ? kms.unwrap(found.wrapped, subject) : null)),
      )
    },
  }
}
type Keyring = ReturnType<typeof createKeyring>

const openerOf =
  ({ keyOf }: Pick<Keyring, 'keyOf'>): PersonalData['open'] =>
  async (sealed) => {
    const [, subject, version, body] = sealedPattern.exec(sealed) ?? []
    if (subject === undefined || version === undefined || body === undefined) return undefined
    const key = await keyOf(subject, Number(version))
    if (!key) return undefined
    try {
      return decrypt(key, Buffer.from(body, 'base64url'), `v1.${subject}.${Number(version)}`).toString()
    } catch {
      return undefined
    }
  }

/** For who only reads, and so needs no digests. @returns `open` of {@link PersonalData} */
export const createOpener = (options: Omit<PersonalDataOptions, 'digestKey'>): PersonalData['open'] =>
  openerOf(createKeyring(options))

export const createPersonalData = (options: PersonalDataOptions): PersonalData => {
  const { kms, keys, digestKey } = options
  const { remember, forget, keyOf } = createKeyring(options)

  const current = async (subject: string): Promise<number> => {
    const newest = await keys.newest(subject)
    if (newest?.wrapped) return newest.version
    const version = (newest?.version ?? 0) + 1
    const { key, wrapped } = await kms.generate(subject)
    const added = await keys.add(subject, version, wrapped)
    // it may be another's, who was first
    if (added.wrapped && Buffer.from(added.wrapped).equals(wrapped))
      remember(`${subject}.${version}`, Promise.resolve(key))
    return added.version
  }

  return {
    seal: async (subject, text) => {
      if (!subjectPattern.test(subject)) throw new RangeError(`${subject} cannot be the name of a subject`)
      const version = await current(subject)
      const key = await keyOf(subject, version)
      if (!key) throw new OmiumError('unavailable', `the personal data of ${subject} is being erased`)
      const name = `v1.${subject}.${version}`
      return `${name}.${encrypt(key, Buffer.from(text), name).toString('base64url')}`
    },
    open: openerOf({ keyOf }),
    digest: (kind, value) => createHmac('sha256', digestKey).update(`${kind}\0${value}`).digest('hex'),
    erase: async (subject) => {
      await keys.destroy(subject)
      forget(subject)
    },
  }
}
