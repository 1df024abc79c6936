import { type CheckpointEvent, maxCheckpointBytes } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { create, created, given, hour, now, objectOf, ref, shaOf } from '../../test/given.ts'
import { expire } from './decide.ts'
import { referredTo, refKey, type ThreadState } from './thread.ts'

const ids = (state: ThreadState | undefined) => [...(state?.checkpoints.values() ?? [])].map((c) => c.checkpointId)
const nothing = { status: 'decided', events: [] }

describe('creating', () => {
  it('takes a new checkpoint up', () => {
    expect(given().when(create('a'))).toMatchObject({ events: [{ type: 'CheckpointCreated' }] })
  })
  it('has nothing to decide for the same id and state again, wherever the object is now', () => {
    expect(given(created('a')).when(create('a', { object: objectOf(1, now + hour) }), now + hour)).toEqual(nothing)
  })
  it('refuses the same id with another state', () => {
    expect(given(created('a')).when(create('a', { object: objectOf(2) }))).toMatchObject({
      code: 'checkpoint_conflict',
    })
  })
  it('tells equal ids in two namespaces apart', () => {
    expect(given(created('a')).when(create('a', { namespace: 'sub', object: objectOf(2) }))).toMatchObject({
      events: [{}],
    })
  })
  it('refuses an object of another thread or tenant', () => {
    expect(given().when(create('a', { object: objectOf(1, now, 'other') }))).toMatchObject({ code: 'invalid_request' })
    expect(given().when(create('a', { object: objectOf(1, now, undefined, 'ten_b') }))).toMatchObject({
      code: 'invalid_request',
    })
  })
  it('refuses an object that may be swept by now, unless the thread holds it already', () => {
    const late = create('b', { object: objectOf(1, now - 4 * hour) })
    expect(given().when(late)).toMatchObject({ code: 'object_missing' })
    expect(given(created('a', { object: objectOf(1, now - 4 * hour) })).when(late)).toMatchObject({ events: [{}] })
  })
})

describe('what builds on another checkpoint', () => {
  const child = create('b', { parentId: 'a', needsParent: true })
  it('is refused when that one is gone: nobody could read it', () => {
    expect(given(created('a')).when(child)).toMatchObject({ events: [{}] })
    const gone: CheckpointEvent = { type: 'CheckpointsDeleted', data: { checkpoints: [ref('a')], why: 'retention' } }
    expect(given(created('a'), gone).when(child)).toMatchObject({
      code: 'checkpoint_unknown',
      detail: expect.stringContaining('builds on a'),
    })
    expect(given(created('a', { namespace: 'sub' })).when(child)).toMatchObject({ code: 'checkpoint_unknown' })
    expect(given().when(create('b', { needsParent: true }))).toMatchObject({ code: 'checkpoint_unknown' })
  })
})

describe('pending writes', () => {
  const writes = (n: number, taskId = 't1') => ({
    type: 'AddCheckpointWrites' as const,
    data: { ...ref('a'), taskId, taskPath: '', writes: [{ index: 0, channel: 'c' }], object: objectOf(n), format: 'x' },
  })
  it('are taken up before and after their checkpoint, the same only once', () => {
    expect(given().when(writes(1))).toMatchObject({ events: [{ type: 'CheckpointWritesAdded' }] })
    const added = { type: 'CheckpointWritesAdded', data: writes(1).data } as const
    expect(given(created('a'), added).when(writes(1))).toEqual(nothing)
    expect(given(created('a'), added).when(writes(1, 't2'))).toMatchObject({ events: [{}] })
  })
  it('are bounded in all: they are read together', () => {
    const large = (n: number, taskId: string) => ({
      type: 'AddCheckpointWrites' as const,
      data: { ...writes(n, taskId).data, object: { ...objectOf(n), bytes: maxCheckpointBytes } },
    })
    const before = [1, 2, 3, 4].map(
      (n): CheckpointEvent => ({ type: 'CheckpointWritesAdded', data: large(n, `t${n}`).data }),
    )
    expect(given(...before.slice(1)).when(large(5, 't5'))).toMatchObject({ events: [{}] })
    expect(given(...before).when(large(5, 't5'))).toMatchObject({ code: 'payload_too_large' })
    expect(given(...before).when(large(4, 't4'))).toEqual(nothing)
  })
  it('keep their objects, and go with their checkpoint', () => {
    const added = { type: 'CheckpointWritesAdded', data: writes(2).data } as const
    const story = given(created('a'), added)
    expect(referredTo(story.state() as ThreadState).size).toBe(2)
    const deleted = {
      type: 'CheckpointsDeleted',
      data: { checkpoints: [ref('a')], why: 'asked' },
    } satisfies CheckpointEvent
    expect(referredTo(given(created('a'), added, deleted).state() as ThreadState).size).toBe(0)
  })
})

describe('deleting', () => {
  const deletion = (...which: string[]) => ({
    type: 'DeleteCheckpoints' as const,
    data: { checkpoints: which.map((id) => ref(id)) },
  })
  it('lets go of what exists', () => {
    expect(given(created('a')).when(deletion('a', 'b'))).toMatchObject({
      events: [{ type: 'CheckpointsDeleted', data: { checkpoints: [ref('a')] } }],
    })
    expect(given().when(deletion('a'))).toEqual(nothing)
  })
  it('refuses what is pinned', () => {
    const pinned = { type: 'CheckpointPinned', data: { ...ref('a'), holder: 'fork:x' } } as const
    expect(given(created('a'), pinned).when(deletion('a'))).toMatchObject({
      code: 'checkpoint_needed',
      detail: expect.stringContaining('fork:x'),
    })
  })
  it('refuses what another checkpoint builds on, unless that one goes too', () => {
    const story = given(created('a'), created('b', { parentId: 'a', needsParent: true }))
    expect(story.when(deletion('a'))).toMatchObject({ code: 'checkpoint_needed' })
    expect(story.when(deletion('a', 'b'))).toMatchObject({ events: [{}] })
  })
  it('of a whole thread is refused while one of it is pinned', () => {
    const pinned = { type: 'CheckpointPinned', data: { ...ref('a'), holder: 'run:x' } } as const
    const remove = { type: 'DeleteThread', data: {} } as const
    expect(given(created('a'), created('b'), pinned).when(remove)).toMatchObject({ code: 'checkpoint_needed' })
    const unpinned = { type: 'CheckpointUnpinned', data: { ...ref('a'), holder: 'run:x' } } as const
    expect(given(created('a'), created('b'), pinned, unpinned).when(remove)).toMatchObject({ events: [{}] })
  })
  it('of a whole thread leaves nothing, and the thread can begin anew', () => {
    const gone = { type: 'ThreadDeleted', data: { by: 'key:k' } } as const
    expect(given(created('a'), gone).state()).toBeUndefined()
    expect(ids(given(created('a'), gone, created('a')).state())).toEqual(['a'])
    expect(given().when({ type: 'DeleteThread', data: {} })).toEqual(nothing)
  })
})

describe('rolling a thread back', () => {
  const to = (id: string) => ({ type: 'RollBackThread' as const, data: ref(id) })
  const rolled = (id: string) => ({ type: 'ThreadRolledBack', data: { ...ref(id), by: 'key:k' } }) as const
  it('supersedes what is newer in the namespace, and only that', () => {
    const state = given(created('a'), created('b'), created('c', { namespace: 'sub' }), rolled('a')).state()
    expect([...(state?.checkpoints.values() ?? [])].map((c) => c.superseded)).toEqual([false, true, false])
  })
  it('with its run leaves alone what the run has done since, and supersedes what comes late from before', () => {
    const at = (version: number) => ({ point: { executionId: 'thread-1', version } })
    const undone = { type: 'ThreadRolledBack', data: { ...ref('a'), by: 'x', beforeVersion: 9 } } as const
    const story = given(created('a', at(3)), created('b', at(5)), created('d', at(11)), undone)
    expect([...(story.state()?.checkpoints.values() ?? [])].map((c) => c.superseded)).toEqual([false, true, false])
    expect(story.when(create('c', at(7)))).toMatchObject({ events: [{ data: { superseded: true } }] })
    expect(story.when(create('e', at(12)))).not.toMatchObject({ events: [{ data: { superseded: true } }] })
  })
  it('to the latest has nothing to decide', () => {
    expect(given(created('a'), created('b')).when(to('b'))).toEqual(nothing)
    expect(given(created('a'), created('b'), rolled('a')).when(to('a'))).toEqual(nothing)
  })
  it('to what is superseded or unknown is refused', () => {
    expect(given(created('a'), created('b'), rolled('a')).when(to('b'))).toMatchObject({ code: 'invalid_request' })
    expect(given().when(to('a'))).toMatchObject({ code: 'checkpoint_unknown' })
  })
})

describe('corruption', () => {
  const report = { type: 'ReportCorruption', data: { ...ref('a'), found: 'missing' } } as const
  it('is recorded once for a state, and each time for what the log can give again', () => {
    const corrupted = { type: 'CheckpointCorrupted', data: report.data } as const
    expect(given(created('a')).when(report)).toMatchObject({ events: [{ type: 'CheckpointCorrupted' }] })
    expect(given(created('a'), corrupted).when(report)).toEqual(nothing)
    expect(given(created('a', { kind: 'run' }), corrupted).when(report)).toMatchObject({ events: [{}] })
  })
  it('ends when the state was made again', () => {
    const corrupted = { type: 'CheckpointCorrupted', data: report.data } as const
    const rebuilt = { type: 'CheckpointRebuilt', data: { ...ref('a'), object: objectOf(1, now + hour) } } as const
    const [checkpoint] =
      given(created('a', { kind: 'run' }), corrupted, rebuilt)
        .state()
        ?.checkpoints.values() ?? []
    expect(checkpoint).toMatchObject({ corrupted: false, object: { sha256: shaOf(1) } })
    expect(checkpoint?.object.key).toBe(objectOf(1, now + hour).key)
  })
})

describe('retention', () => {
  const keep = (retention: { keepLast?: number; maxAgeMs?: number }) =>
    ({ type: 'RetentionSet', data: { retention, by: 'key:k' } }) as const
  it('lets go of the oldest as new ones come', () => {
    const decision = given(keep({ keepLast: 2 }), created('a'), created('b')).when(create('c'))
    expect(decision).toMatchObject({
      events: [{ type: 'CheckpointCreated' }, { type: 'CheckpointsDeleted', data: { checkpoints: [ref('a')] } }],
    })
  })
  it('takes effect on what is there when it is set', () => {
    const set = { type: 'SetRetention', data: { retention: { keepLast: 1 } } } as const
    expect(given(created('a'), created('b')).when(set)).toMatchObject({
      events: [{ type: 'RetentionSet' }, { data: { checkpoints: [ref('a')], why: 'retention' } }],
    })
  })
  it('keeps what stands in for a damaged latest', () => {
    const damaged = (id: string): CheckpointEvent => ({
      type: 'CheckpointCorrupted',
      data: { ...ref(id), found: 'missing' },
    })
    const left = (...events: CheckpointEvent[]) => {
      const state = given(keep({ keepLast: 1 }), ...events).state() as ThreadState
      const gone = new Set(
        expire(state, now)
          .flatMap(({ data }) => ('checkpoints' in data ? data.checkpoints : []))
          .map(refKey),
      )
      return ids(state).filter((id) => !gone.has(refKey(ref(id))))
    }
    expect(left(created('a'), created('b'), created('c'))).toEqual(['c'])
    expect(left(created('a'), created('b'), created('c'), damaged('c'))).toEqual(['b', 'c'])
    const builds = created('c', { parentId: 'b', needsParent: true })
    expect(left(created('a'), created('b'), builds, damaged('b'))).toEqual(['a', 'b', 'c'])
  })
  it('keeps the greatest id too: whoever goes by ids goes on from it', () => {
    const state = given(keep({ keepLast: 1 }), created('c9'), created('c7')).state() as ThreadState
    expect(expire(state, now)).toEqual([])
    expect(given(keep({ keepLast: 1 }), created('c9'), created('c7')).when(create('c8'))).toMatchObject({
      events: [{}, { data: { checkpoints: [ref('c7')] } }],
    })
  })
  it('keeps what is pinned, what is the latest of a namespace, and what those build on', () => {
    const pinned = { type: 'CheckpointPinned', data: { ...ref('b'), holder: 'run:x' } } as const
    const state = given(
      created('a'),
      created('b', { parentId: 'a', needsParent: true }),
      created('c', { parentId: 'b' }),
      created('d', { parentId: 'c' }),
      created('s', { namespace: 'sub' }),
      pinned,
      keep({ maxAgeMs: 10 }),
    ).state() as ThreadState
    expect(expire(state, now + 11)).toMatchObject([{ data: { checkpoints: [ref('c')] } }])
    expect(expire(state, now + 9)).toEqual([])
  })
})
