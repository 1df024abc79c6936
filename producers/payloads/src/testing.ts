import { OmiumError } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import type { ObjectStore } from './object-store.ts'

/** Objects in memory, for specs only. */
export const createInMemoryObjectStore = (): ObjectStore & { readonly objects: Map<string, Buffer> } => {
  const objects = new Map<string, Buffer>()
  const keysOf = (prefix: string): string[] => [...objects.keys()].filter((key) => key.startsWith(prefix)).sort()
  return {
    objects,
    async put(key, body) {
      objects.set(key, Buffer.from(body))
    },
    async get(key) {
      const body = objects.get(key)
      if (!body) throw new OmiumError('object_missing', `get ${key}: there is no such object`)
      return Buffer.from(body)
    },
    list: async (prefix) => keysOf(prefix),
    async *pages(prefix, size = 1000) {
      for (let keys = keysOf(prefix); keys.length > 0; ) {
        const page = keys.slice(0, size)
        yield page
        const last = page.at(-1) ?? ''
        keys = keysOf(prefix).filter((key) => key > last)
      }
    },
    async remove(key) {
      objects.delete(key)
    },
    close: async () => {},
  }
}

/** What every adapter of {@link ObjectStore} does. */
export const objectStoreContract = (name: string, open: () => Promise<ObjectStore>): void => {
  describe(`${name} as an object store`, () => {
    const withStore = async (use: (store: ObjectStore) => Promise<void>) => {
      const store = await open()
      try {
        await use(store)
      } finally {
        await store.close()
      }
    }
    it('gives back what was put', () =>
      withStore(async (store) => {
        const body = Buffer.from([0, 1, 2, 255])
        await store.put('contract/a', body)
        expect(await store.get('contract/a')).toEqual(body)
      }))
    it('replaces', () =>
      withStore(async (store) => {
        await store.put('contract/b', Buffer.from('old'))
        await store.put('contract/b', Buffer.from('new'))
        expect((await store.get('contract/b')).toString()).toBe('new')
      }))
    it('says when there is no such object', () =>
      withStore(async (store) => {
        await expect(store.get('contract/none')).rejects.toMatchObject({ code: 'object_missing' })
      }))
    it('removes, also what is not there', () =>
      withStore(async (store) => {
        await store.put('contract/c', Buffer.from('x'))
        await store.remove('contract/c')
        await store.remove('contract/c')
        await expect(store.get('contract/c')).rejects.toMatchObject({ code: 'object_missing' })
      }))
    it('lists a prefix in order', () =>
      withStore(async (store) => {
        for (const key of ['contract/l/2', 'contract/l/10', 'contract/m/1', 'contract/l/1']) {
          await store.put(key, Buffer.from('x'))
        }
        expect(await store.list('contract/l/')).toEqual(['contract/l/1', 'contract/l/10', 'contract/l/2'])
        expect(await store.list('contract/nothing/')).toEqual([])
      }))
    it('lists page by page in order, whatever is removed on the way', () =>
      withStore(async (store) => {
        const keys = Array.from({ length: 7 }, (_, i) => `contract/p/${i}`)
        for (const key of [...keys, 'contract/q/1']) await store.put(key, Buffer.from('x'))
        const seen: (readonly string[])[] = []
        for await (const page of store.pages('contract/p/', 3)) {
          seen.push(page)
          for (const key of page) await store.remove(key)
        }
        expect(seen).toEqual([keys.slice(0, 3), keys.slice(3, 6), keys.slice(6)])
        for await (const page of store.pages('contract/p/', 3)) expect(page).toEqual('there is nothing left')
      }))
    it('holds large objects', () =>
      withStore(async (store) => {
        const body = Buffer.alloc(6 * 1024 * 1024, 7)
        await store.put('contract/large', body)
        expect((await store.get('contract/large')).equals(body)).toBe(true)
      }))
  })
}
