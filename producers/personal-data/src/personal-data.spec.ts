import { randomBytes } from 'node:crypto'
import { sealedText } from '@omium/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encrypt } from './gcm.ts'
import { createLocalKms } from './local-kms.ts'
import { createPersonalData } from './personal-data.ts'
import type { SubjectKey, SubjectKeys } from './subject-keys.ts'

const inMemory = () => {
  const stored = new Map<string, SubjectKey[]>()
  const newest = async (subject: string) => stored.get(subject)?.at(-1)
  const keys: SubjectKeys & { reads: number } = {
    reads: 0,
    find: async (subject, version) => {
      keys.reads++
      return stored.get(subject)?.find((key) => key.version === version)
    },
    newest,
    add: async (subject, version, wrapped) => {
      const known = stored.get(subject) ?? []
      if (!known.some((key) => key.version === version)) stored.set(subject, [...known, { version, wrapped }])
      return (await newest(subject)) as SubjectKey
    },
    destroy: async (subject) =>
      void stored.set(
        subject,
        (stored.get(subject) ?? []).map(({ version }) => ({ version, wrapped: null })),
      ),
  }
  return keys
}
const masterKey = (id: string) => ({ id, key: randomBytes(32) })

const bench = () => {
  const clock = { nowMs: 1_000 }
  const keys = inMemory()
  const kms = createLocalKms([masterKey('m1')])
  const open = () => createPersonalData({ kms, keys, digestKey: Buffer.alloc(32, 1), nowMs: () => clock.nowMs })
  return { clock, keys, data: open(), another: open() }
}

describe('personal data', () => {
  it('is unreadable but for those who have its key, and fits the log', async () => {
    const { data } = bench()
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 200 }), async (text) => {
        const sealed = await data.seal('usr_a', text)
        expect(sealedText.safeParse(sealed).success).toBe(true)
        if (text.length > 3) expect(sealed).not.toContain(text)
        expect(await data.open(sealed)).toBe(text.toWellFormed())
      }),
      { numRuns: 50 },
    )
    expect(await data.seal('usr_a', 'x')).not.toBe(await data.seal('usr_a', 'x'))
  })
  it('opens to nothing once it is erased, here at once and elsewhere within ten seconds', async () => {
    const { data, another, clock } = bench()
    const sealed = await data.seal('usr_a', 'a@b.c')
    const others = await data.seal('usr_b', 'b@b.c')
    expect(await another.open(sealed)).toBe('a@b.c')
    await data.erase('usr_a')
    expect(await data.open(sealed)).toBeUndefined()
    clock.nowMs += 10_000
    expect(await another.open(sealed)).toBeUndefined()
    expect(await another.open(others)).toBe('b@b.c')
    const later = await another.seal('usr_a', 'somebody new')
    expect(await Promise.all([data.open(later), data.open(sealed)])).toEqual(['somebody new', undefined])
  })
  it('that was changed, or put in the place of another, does not open', async () => {
    const { data } = bench()
    const [a, b] = [await data.seal('usr_a', 'a'), await data.seal('usr_b', 'b')]
    const body = (sealed: string) => sealed.split('.')[3]
    for (const forged of [
      `v1.usr_a.1.${body(b)}`,
      `${a.slice(0, -2)}AA`,
      'v1.usr_a.1.AA',
      'v1.usr_a.2.AAAA',
      'plain',
      '',
    ])
      expect(await data.open(forged)).toBeUndefined()
  })
  it('asks for a key once in ten seconds', async () => {
    const { data, another, keys, clock } = bench()
    const sealed = await data.seal('usr_a', 'a')
    await data.open(sealed)
    expect(keys.reads).toBe(0)
    await Promise.all([1, 2, 3].map(() => another.open(sealed)))
    expect(keys.reads).toBe(1)
    clock.nowMs += 10_000
    await another.open(sealed)
    expect(keys.reads).toBe(2)
  })
  it('can be compared by digests, which tell kinds apart', () => {
    const { data } = bench()
    expect(data.digest('email', 'a@b.c')).toMatch(/^[0-9a-f]{64}$/)
    expect(data.digest('email', 'a@b.c')).toBe(data.digest('email', 'a@b.c'))
    expect(data.digest('login', 'a@b.c')).not.toBe(data.digest('email', 'a@b.c'))
  })
})

describe('the local KMS', () => {
  it('wraps with the first key and unwraps with all', async () => {
    const [first, second] = [masterKey('m1'), masterKey('m2')]
    const wrapped = await createLocalKms([first]).wrap(Buffer.from('key'), 'usr_a')
    const rotated = createLocalKms([second, first])
    expect(Buffer.from(await rotated.unwrap(wrapped, 'usr_a')).toString()).toBe('key')
    const alone = createLocalKms([second])
    await expect(alone.unwrap(await rotated.wrap(Buffer.from('k'), 'usr_a'), 'usr_a')).resolves.toBeDefined()
    await expect(alone.unwrap(wrapped, 'usr_a')).rejects.toMatchObject({ code: 'settings_invalid' })
    expect(() => createLocalKms([])).toThrow(/OMIUM_MASTER_KEYS/)
  })
  it('still unwraps what was wrapped before subjects were bound, and says that it is not current', async () => {
    const master = masterKey('m1')
    const before = Buffer.concat([
      Buffer.from([2]),
      Buffer.from('m1'),
      encrypt(master.key, Buffer.from('key'), 'omium.kms.v1'),
    ])
    const kms = createLocalKms([master])
    expect(Buffer.from(await kms.unwrap(before, 'usr_a')).toString()).toBe('key')
    expect(kms.isCurrent(before)).toBe(false)
    expect(kms.isCurrent(await kms.wrap(Buffer.from('key'), 'usr_a'))).toBe(true)
  })
})
