import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createCheckpointObjects } from './checkpoint-objects.ts'
import { withEnvelopeEncryption } from './envelope-encryption.ts'
import { createInMemoryObjectStore } from './testing.ts'

const first = { id: 'first', key: randomBytes(32) }
const second = { id: 'second', key: randomBytes(32) }
const secret = Buffer.from('the state of an agent')

describe('envelope encryption', () => {
  it('stores nothing that can be read, and reads it back', async () => {
    const plain = createInMemoryObjectStore()
    const store = withEnvelopeEncryption(plain, [first])
    await store.put('a', secret)
    await store.put('b', secret)
    expect(plain.objects.get('a')?.includes(secret)).toBe(false)
    expect(plain.objects.get('a')).not.toEqual(plain.objects.get('b'))
    expect(await store.get('a')).toEqual(secret)
  })
  it('reads what an older key wrapped, and what was stored in the clear', async () => {
    const plain = createInMemoryObjectStore()
    await plain.put('clear', secret)
    await withEnvelopeEncryption(plain, [first]).put('old', secret)
    const rotated = withEnvelopeEncryption(plain, [second, first])
    expect(await rotated.get('old')).toEqual(secret)
    expect(await rotated.get('clear')).toEqual(secret)
    await rotated.put('new', secret)
    await expect(withEnvelopeEncryption(plain, [first]).get('new')).rejects.toMatchObject({ code: 'settings_invalid' })
  })
  it('notices every changed byte, every cut, and an object in place of another', async () => {
    const plain = createInMemoryObjectStore()
    const store = createCheckpointObjects(withEnvelopeEncryption(plain, [first]), () => 0)
    const ref = await store.store('t', 'thread', secret)
    const sealed = plain.objects.get(ref.key) ?? Buffer.alloc(0)
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 1
      plain.objects.set(ref.key, changed)
      await expect(store.load(ref), `byte ${at}`).rejects.toMatchObject({ code: 'object_corrupt' })
      plain.objects.set(ref.key, sealed.subarray(0, at))
      await expect(store.load(ref), `cut at ${at}`).rejects.toMatchObject({ code: 'object_corrupt' })
    }
    const other = await store.store('t', 'other', secret)
    plain.objects.set(ref.key, plain.objects.get(other.key) ?? Buffer.alloc(0))
    await expect(store.load(ref)).rejects.toMatchObject({ code: 'object_corrupt' })
  })
  it('gives back every state as it was, also one that looks like an encrypted object', async () => {
    const sealed = createInMemoryObjectStore()
    await withEnvelopeEncryption(sealed, [first]).put('a', secret)
    const odd = [
      sealed.objects.get('a') ?? Buffer.alloc(0),
      ...['OMIUM\x01', 'OMIUM\x01GCM', 'OMIUM\x01RAW', 'OMIUM\x01RAWOMIUM\x01RAW', 'OMIUM\x01??', 'OMIUM', ''].map(
        (text) => Buffer.from(text),
      ),
    ]
    for (const keys of [[], [first]]) {
      const plain = createInMemoryObjectStore()
      const store = createCheckpointObjects(withEnvelopeEncryption(plain, keys), () => 0)
      for (const state of odd) {
        const ref = await store.store('t', 'thread', state)
        expect(await store.load(ref)).toEqual(state)
        // encryption that is turned on, or off for what is stored from now on, changes nothing for it
        const later = createCheckpointObjects(withEnvelopeEncryption(plain, [second, first]), () => 0)
        expect(await later.load(ref)).toEqual(state)
      }
    }
  })
})
