import { checkpointObjectsPrefix } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { type CheckpointsWorld, keyB } from './world.ts'

/** Objects that are missing, cut, changed or exchanged. */
export const damageSpecs = (world: CheckpointsWorld) => {
  const { call, put, list, stored, keyOf, shaOf, flipOneBit, types } = world

  describe('a damaged object', () => {
    const damage = {
      'is missing': (key: string) => world.parts().objects.remove(key),
      'is cut short': async (key: string) =>
        world.parts().objects.put(key, (await world.parts().objects.get(key)).subarray(0, 20)),
      'is empty': (key: string) => world.parts().objects.put(key, Buffer.alloc(0)),
      'has another byte at its end': (key: string) => flipOneBit(key),
      'names another key': (key: string) => flipOneBit(key, 'OMIUM.GCM'.length + 1),
      'is another state in the clear': (key: string) => world.parts().objects.put(key, Buffer.from('9')),
      'was put in the place of another one': async (key: string) => {
        const thread = key.split('/')[2] ?? ''
        const other = (await keyOf(thread, 1)) as string
        await world.parts().objects.put(key, await world.parts().objects.get(other))
      },
      'is that of another tenant': async (key: string) => {
        const thread = key.split('/')[2] ?? ''
        await call('POST', '/v1/checkpoints', { thread, id: 'same', state: { json: 2 } }, keyB)
        const [theirs = ''] = await world.parts().objects.list(`${checkpointObjectsPrefix}ten_b/${thread}/`)
        await world.parts().objects.put(key, await world.parts().objects.get(theirs))
      },
    }
    for (const [what, harm] of Object.entries(damage)) {
      it(`that ${what} is noticed, recorded, and an older state given in place of the latest`, async () => {
        const thread = `hurt-${what.replaceAll(' ', '-')}`
        for (const n of [1, 2, 3]) await put(thread, `c${n}`, n)
        for (const n of [2, 3]) await harm(await keyOf(thread, n))
        expect((await call('GET', `/v1/checkpoints/${thread}/latest`)).body).toMatchObject({
          id: 'c1',
          insteadOf: 'c3',
          state: { json: 1 },
        })
        const found = what === 'is missing' ? 'missing' : 'damaged'
        expect(
          (await types(thread)).filter(({ type }) => type === 'CheckpointCorrupted').map(({ data }) => data),
        ).toEqual([
          { namespace: '', checkpointId: 'c3', found, fallbackId: 'c1' },
          { namespace: '', checkpointId: 'c2', found, fallbackId: 'c1' },
        ])
        expect(await call('GET', `/v1/checkpoints/${thread}/c3`)).toMatchObject({
          status: 410,
          body: { code: 'checkpoint_corrupt', detail: expect.stringContaining('c1') },
        })
        expect((await call('POST', `/v1/checkpoints/${thread}/c3/verify`, {})).body).toEqual({
          intact: false,
          found,
          rebuilt: false,
        })
        expect((await call('POST', `/v1/checkpoints/${thread}/c1/verify`, {})).body).toEqual({
          intact: true,
          rebuilt: false,
        })
        expect(await list(`thread=${thread}`)).toMatchObject([
          { status: 'corrupted' },
          { status: 'corrupted' },
          { status: 'intact' },
        ])
      })
    }
  })

  describe('damage beside the state itself', () => {
    it('two objects that changed places are two findings', async () => {
      for (const n of [1, 2, 3]) await put('swapped', `c${n}`, n)
      const [two, three] = [await keyOf('swapped', 2), await keyOf('swapped', 3)]
      const [bodyOfTwo, bodyOfThree] = [await world.parts().objects.get(two), await world.parts().objects.get(three)]
      await world.parts().objects.put(two, bodyOfThree)
      await world.parts().objects.put(three, bodyOfTwo)
      expect((await call('GET', '/v1/checkpoints/swapped/latest')).body).toMatchObject({ id: 'c1', insteadOf: 'c3' })
      expect(await list('thread=swapped')).toMatchObject([
        { status: 'corrupted' },
        { status: 'corrupted' },
        { status: 'intact' },
      ])
    })
    it('what was written on top of a state counts as much as the state', async () => {
      for (const n of [1, 2]) await put('torn', `c${n}`, n)
      const writes = { taskId: 't', writes: [{ index: 0, channel: 'ch' }], state: { json: ['written'] } }
      await call('POST', '/v1/checkpoints/torn/c2/writes', writes)
      const key = (await stored('torn')).find((one) => one.endsWith(shaOf(['written']))) ?? ''
      await world.parts().objects.put(key, (await world.parts().objects.get(key)).subarray(0, 40))
      expect((await call('GET', '/v1/checkpoints/torn/latest')).body).toMatchObject({ id: 'c1', insteadOf: 'c2' })
      expect(await call('GET', '/v1/checkpoints/torn/c2')).toMatchObject({ status: 410 })
    })
    it('what builds on a damaged state is passed over, once that is known', async () => {
      await put('line', 'c1', 1)
      await put('line', 'c2', 2, { parent: 'c1' })
      await put('line', 'c3', 3, { parent: 'c2', needsParent: true })
      await put('line', 'c4', 4, { parent: 'c3', needsParent: true })
      expect((await call('GET', '/v1/checkpoints/line/latest')).body.id).toBe('c4')
      await world.parts().objects.remove(await keyOf('line', 2))
      // its program puts the latest together from those that it builds on, and finds out
      expect(await call('GET', '/v1/checkpoints/line/c2')).toMatchObject({ status: 410 })
      for (const order of ['created', 'id']) {
        expect((await call('GET', `/v1/checkpoints/line/latest?order=${order}`)).body).toMatchObject({
          id: 'c1',
          insteadOf: 'c4',
        })
      }
    })
    it('is said plainly when nothing is intact any more', async () => {
      for (const n of [1, 2]) await put('lost', `c${n}`, n)
      for (const key of await stored('lost')) await world.parts().objects.remove(key)
      expect(await call('GET', '/v1/checkpoints/lost/latest')).toMatchObject({
        status: 410,
        body: { code: 'checkpoint_corrupt', detail: expect.stringContaining('no older one is intact') },
      })
    })
  })
}
