import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type CheckpointsWorld, keyB } from './world.ts'

/** What is stored, listed, kept, gone back to and removed. */
export const stateSpecs = (world: CheckpointsWorld) => {
  const { call, put, list, ids, stored } = world

  describe('a checkpoint', () => {
    it('comes back as it was, the same made twice is one, and another state of its id is refused', async () => {
      const state = { plan: ['a', 'b'], '__proto__ ': 1, text: 'ü\u0000\ud83d\ude00' }
      const first = await put('basics', 'c1', state, { label: 'planned', metadata: { step: 1, note: 'x\u0000y' } })
      expect(first).toMatchObject({ status: 201, body: { thread: 'basics', checkpoint: 'c1', deduplicated: false } })
      expect(await put('basics', 'c1', state)).toMatchObject({ status: 200, body: { deduplicated: true } })
      expect(await put('basics', 'c1', { other: 1 })).toMatchObject({
        status: 409,
        body: { code: 'checkpoint_conflict' },
      })
      expect((await call('GET', '/v1/checkpoints/basics/c1')).body).toMatchObject({
        id: 'c1',
        status: 'intact',
        label: 'planned',
        state: { json: state },
        writes: [],
      })
      expect(await stored('basics')).toHaveLength(2)
    })
    it('holds bytes of any kind, encrypted where they are stored', async () => {
      const bytes = randomBytes(300_000)
      const state = { format: 'msgpack', base64: bytes.toString('base64') }
      await call('POST', '/v1/checkpoints', { thread: 'bytes', id: 'c1', state })
      expect((await call('GET', '/v1/checkpoints/bytes/latest')).body.state).toEqual(state)
      const [key = ''] = await stored('bytes')
      const raw = await world.parts().objects.get(key)
      expect(raw.includes(bytes.subarray(1000, 1100))).toBe(false)
      const wrong = { thread: 'bytes', id: 'c2', state: { format: 'x', base64: 'not base64!' } }
      expect(await call('POST', '/v1/checkpoints', wrong)).toMatchObject({ status: 422 })
      expect(await call('POST', '/v1/checkpoints', { ...wrong, id: 'latest' })).toMatchObject({ status: 422 })
    })
    it('of 50 MiB is stored, and one that is larger is refused', async () => {
      const large = (bytes: number) => ({ format: 'x', base64: Buffer.alloc(bytes, 7).toString('base64') })
      const limit = 50 * 1024 * 1024
      expect(await call('POST', '/v1/checkpoints', { thread: 'large', id: 'a', state: large(limit) })).toMatchObject({
        status: 201,
      })
      expect((await call('GET', '/v1/checkpoints/large/a')).body.bytes).toBe(limit)
      expect(
        await call('POST', '/v1/checkpoints', { thread: 'large', id: 'b', state: large(limit + 1) }),
      ).toMatchObject({
        status: 413,
        body: { code: 'payload_too_large' },
      })
    }, 120_000)
    it('is listed newest first, page by page, and found by thread, namespace, metadata and id', async () => {
      for (const n of [3, 1, 2]) await put('lists', `c${n}`, n, { metadata: { n, odd: n % 2 === 1 } })
      await put('lists', 'c9', 9, { namespace: 'sub|graph:1' })
      expect(ids(await list('thread=lists&namespace='))).toEqual(['c2', 'c1', 'c3'])
      expect(ids(await list('thread=lists&order=id&before=c3'))).toEqual(['c2', 'c1'])
      expect(ids(await list(`thread=lists&metadata=${encodeURIComponent('{"odd":true}')}`))).toEqual(['c1', 'c3'])
      expect(ids(await list(`thread=lists&namespace=${encodeURIComponent('sub|graph:1')}`))).toEqual(['c9'])
      for (const query of ['thread=lists&limit=1', 'limit=1&order=id', 'limit=2']) {
        const seen: string[] = []
        let cursor: string | undefined
        do {
          const { body } = await call('GET', `/v1/checkpoints?${query}${cursor ? `&cursor=${cursor}` : ''}`)
          seen.push(...body.items.map((item: { thread: string; id: string }) => `${item.thread}/${item.id}`))
          cursor = body.nextCursor
        } while (cursor !== undefined)
        expect(new Set(seen).size, query).toBe(seen.length)
        expect(
          seen.filter((one) => one.startsWith('lists/')),
          query,
        ).toHaveLength(4)
      }
      expect(await call('GET', '/v1/checkpoints?cursor=bm9wZQ')).toMatchObject({ status: 422 })
      expect(await call('GET', '/v1/checkpoints?metadata=[1]')).toMatchObject({ status: 422 })
    })
    it('has what tasks wrote on top of it, in order, each once', async () => {
      await put('writes', 'c1', 1)
      const add = (taskId: string, value: unknown) =>
        call('POST', '/v1/checkpoints/writes/c1/writes', {
          taskId,
          writes: [{ index: 0, channel: 'ch' }],
          state: { json: [value] },
        })
      await add('t1', 'one')
      await add('t2', 'two')
      expect(await add('t1', 'one')).toMatchObject({ body: { deduplicated: true } })
      const { writes } = (await call('GET', '/v1/checkpoints/writes/c1')).body
      expect(writes).toMatchObject([
        { taskId: 't1', state: { json: ['one'] } },
        { taskId: 't2', state: { json: ['two'] } },
      ])
    })
    it('that is pinned or built upon cannot be deleted; others and whole threads can', async () => {
      await put('keep', 'a', 1)
      await put('keep', 'b', 2, { parent: 'a', needsParent: true })
      await call('POST', '/v1/checkpoints/keep/b/pin', { holder: 'fork:x' })
      const remove = (id: string) => call('POST', '/v1/threads/keep/delete', { checkpoints: [{ id }] })
      expect(await remove('a')).toMatchObject({ status: 409, body: { code: 'checkpoint_needed' } })
      expect(await remove('b')).toMatchObject({ status: 409, body: { detail: expect.stringContaining('fork:x') } })
      await call('POST', '/v1/checkpoints/keep/b/unpin', { holder: 'fork:x' })
      expect(await remove('b')).toMatchObject({ status: 200 })
      expect(ids(await list('thread=keep'))).toEqual(['a'])
      await call('DELETE', '/v1/threads/keep')
      expect(await list('thread=keep')).toEqual([])
      expect((await put('keep', 'a', 5)).status).toBe(201)
      expect((await call('GET', '/v1/checkpoints/keep/a')).body.state).toEqual({ json: 5 })
    })
    it('goes by retention, when it is set and as others come', async () => {
      for (const n of [1, 2, 3]) await put('short', `c${n}`, n)
      await call('PUT', '/v1/threads/short/retention', { keepLast: 2 })
      expect(ids(await list('thread=short'))).toEqual(['c3', 'c2'])
      await put('short', 'c4', 4)
      expect(ids(await list('thread=short'))).toEqual(['c4', 'c3'])
      expect((await call('GET', '/v1/threads/short/retention')).body).toEqual({ retention: { keepLast: 2 } })
    })
    it('can be gone back to: newer ones are superseded and the latest is that one', async () => {
      for (const n of [1, 2, 3]) await put('back', `c${n}`, n)
      expect((await call('POST', '/v1/checkpoints/back/c1/rollback', {})).status).toBe(200)
      expect((await call('GET', '/v1/checkpoints/back/latest')).body).toMatchObject({ id: 'c1' })
      expect(await list('thread=back')).toMatchObject([
        { id: 'c3', status: 'superseded' },
        { status: 'superseded' },
        { status: 'intact' },
      ])
      expect(ids(await list('thread=back&superseded=false'))).toEqual(['c1'])
    })
  })

  describe('another tenant', () => {
    it('finds nothing of what is not its own, and changes nothing', async () => {
      await put('mine', 'c1', { secret: 1 })
      for (const [method, path, body] of [
        ['GET', '/v1/checkpoints/mine/c1', undefined],
        ['GET', '/v1/checkpoints/mine/latest', undefined],
        ['POST', '/v1/checkpoints/mine/c1/verify', {}],
        ['POST', '/v1/checkpoints/mine/c1/rollback', {}],
        ['POST', '/v1/checkpoints/mine/c1/pin', { holder: 'x' }],
      ] as const) {
        expect(await call(method, path, body, keyB), path).toMatchObject({
          status: 404,
          body: { code: 'checkpoint_unknown' },
        })
      }
      expect((await call('GET', '/v1/checkpoints?thread=mine', undefined, keyB)).body.items).toEqual([])
      expect((await call('GET', '/v1/checkpoints', undefined, keyB)).body.items).toEqual([])
      await call('DELETE', '/v1/threads/mine', undefined, keyB)
      await call('POST', '/v1/threads/mine/delete', { checkpoints: [{ id: 'c1' }] }, keyB)
      await call('POST', '/v1/checkpoints', { thread: 'mine', id: 'c1', state: { json: 'theirs' } }, keyB)
      expect((await call('GET', '/v1/checkpoints/mine/c1')).body.state).toEqual({ json: { secret: 1 } })
      expect((await call('GET', '/v1/checkpoints/mine/c1', undefined, keyB)).body.state).toEqual({ json: 'theirs' })
    })
  })

  it('takes any text in names and values of metadata, and finds it', async () => {
    const metadata = { 'a\ud800': 'x\udfff', 'nul\0': '\0' }
    await put('odd', 'c1', 1, { metadata, label: 'l\0\ud800' })
    expect(await list('thread=odd')).toHaveLength(1)
    expect(await list(`thread=odd&metadata=${encodeURIComponent(JSON.stringify(metadata))}`)).toHaveLength(1)
  })
}
