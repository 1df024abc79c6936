import { createHash } from 'node:crypto'
import { eventually } from '@omium/dev/testing'
import { checkpointsProjection } from '@omium/projection-checkpoints'
import { verify } from '@omium/projection-kit'
import type { ExecutionContextEvent } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { type CheckpointsWorld, keyB } from './world.ts'

/** Checkpoints that the manager makes of runs. */
export const runSpecs = (world: CheckpointsWorld) => {
  const { call, stored, types } = world

  describe('a run that asks for checkpoints', () => {
    const step = (n: number, kind = 'step', output: unknown = { n }): ExecutionContextEvent => ({
      type: 'StepCompleted',
      data: {
        attempt: 1,
        path: `step#${n}`,
        name: 'step',
        kind: kind as 'step',
        stepAttempt: 1,
        requestHash: `h${n}`,
        output: { inline: output as null },
        startedAt: Date.now(),
        durationMs: 1,
      },
    })
    const requested = (executionId: string, every: 'step' | 'never'): ExecutionContextEvent => ({
      type: 'ExecutionRequested',
      data: {
        executionId,
        agentId: 'a',
        input: { inline: null },
        requestHash: 'h',
        options: { priority: 0, checkpoints: { every } },
      },
    })
    const started: ExecutionContextEvent = { type: 'ExecutionStarted', data: { attempt: 1, workerId: 'w' } }
    const checkpointsOf = async (run: string) =>
      (await call('GET', `/v1/executions/${run}/checkpoints`)).body.items as { id: string; label: string }[]

    it('gets one after each result, with the journal as a fork would take it over', async () => {
      await world.parts().engine.write('ten_a', 'auto', requested('auto', 'step'), started, step(1), step(2))
      await eventually(async () => expect(await checkpointsOf('auto')).toHaveLength(2), { timeoutMs: 20_000 })
      expect(await checkpointsOf('auto')).toMatchObject([
        {
          id: 'run-00000004',
          kind: 'run',
          parent: 'run-00000003',
          point: { executionId: 'auto', version: 4, path: 'step#2' },
        },
        { id: 'run-00000003' },
      ])
      expect((await call('GET', '/v1/checkpoints/auto/run-00000004')).body.state.json).toEqual([
        { path: 'step#1', kind: 'step', requestHash: 'h1', status: 'completed', value: { n: 1 } },
        { path: 'step#2', kind: 'step', requestHash: 'h2', status: 'completed', value: { n: 2 } },
      ])
      expect(await call('GET', '/v1/executions/auto/checkpoints', undefined, keyB)).toMatchObject({ status: 404 })
    })
    it('has a lost checkpoint made again from the log, the same to the byte', async () => {
      const before = (await call('GET', '/v1/checkpoints/auto/run-00000003')).body
      for (const key of await stored('auto')) await world.parts().objects.remove(key)
      expect((await call('POST', '/v1/checkpoints/auto/run-00000004/verify', {})).body).toEqual({
        intact: false,
        found: 'missing',
        rebuilt: true,
      })
      const after = (await call('GET', '/v1/checkpoints/auto/run-00000003')).body
      expect(after).toMatchObject({ sha256: before.sha256, state: before.state, status: 'intact' })
      expect((await types('auto')).map(({ type }) => type)).toEqual([
        'CheckpointCreated',
        'CheckpointCreated',
        'CheckpointCorrupted',
        'CheckpointRebuilt',
        'CheckpointCorrupted',
        'CheckpointRebuilt',
      ])
    })
    it('whose journal is lost too gives an older checkpoint in place of the latest', async () => {
      const large = 'x'.repeat(100_000)
      const body = Buffer.from(JSON.stringify(large))
      const sha256 = createHash('sha256').update(body).digest('hex')
      const key = `payloads/ten_a/gone/${sha256}`
      await world.parts().objects.put(key, body)
      const second = step(2)
      if (second.type !== 'StepCompleted') throw new Error('a step')
      const output = { ref: { key, bytes: body.length, sha256 } }
      await world.parts().engine.write('ten_a', 'gone', requested('gone', 'step'), started, step(1), {
        ...second,
        data: { ...second.data, output },
      })
      await eventually(async () => expect(await checkpointsOf('gone')).toHaveLength(2), { timeoutMs: 20_000 })
      await world.parts().objects.remove(key)
      const newest = (await call('GET', '/v1/checkpoints/gone/latest')).body
      await world.parts().objects.remove((await stored('gone')).find((one) => one.endsWith(newest.sha256)) ?? '')
      const fallback = (await call('GET', '/v1/checkpoints/gone/latest')).body
      expect(fallback).toMatchObject({ id: 'run-00000003', insteadOf: newest.id })
      const found = (await types('gone')).filter(({ type }) => type !== 'CheckpointCreated')
      expect(found.slice(0, 3)).toMatchObject([
        { type: 'CheckpointCorrupted', data: { checkpointId: newest.id, found: 'missing' } },
        { type: 'CheckpointRebuildFailed', data: { why: expect.stringContaining('object_missing') } },
        { type: 'CheckpointCorrupted', data: { checkpointId: newest.id, fallbackId: 'run-00000003' } },
      ])
    })
    it('keeps every state that the run itself gives, whatever it asks for', async () => {
      await world
        .parts()
        .engine.write(
          'ten_a',
          'explicit',
          requested('explicit', 'never'),
          started,
          step(1),
          step(2, 'checkpoint', { draft: 7 }),
        )
      await eventually(async () => expect(await checkpointsOf('explicit')).toHaveLength(1), { timeoutMs: 20_000 })
      expect((await call('GET', '/v1/checkpoints/explicit/latest')).body).toMatchObject({
        id: 'state-00000004',
        kind: 'state',
        state: { json: { draft: 7 } },
        point: { path: 'step#2' },
      })
    })
    it('misses and repeats none when the manager is killed in the middle', async () => {
      const count = 30
      await world.parts().engine.write('ten_a', 'killed', requested('killed', 'step'), started)
      const write = async (from: number, to: number) => {
        for (let n = from; n <= to; n++) await world.parts().engine.write('ten_a', 'killed', step(n))
      }
      const writing = write(1, count / 2)
      await eventually(async () => expect((await checkpointsOf('killed')).length).toBeGreaterThan(3), {
        timeoutMs: 20_000,
      })
      await world.parts().killManager()
      await writing
      await write(count / 2 + 1, count)
      await world.parts().startManager()
      await eventually(async () => expect((await checkpointsOf('killed')).length).toBeGreaterThanOrEqual(count), {
        timeoutMs: 40_000,
      })
      const made = (await types('killed')).map(({ type, data }) => `${type} ${data['checkpointId']}`)
      expect(made).toEqual(
        Array.from({ length: count }, (_, i) => `CheckpointCreated run-${String(i + 3).padStart(8, '0')}`),
      )
    })
    it('leaves a read model that is exactly what the log says', async () => {
      const { agrees, difference } = await verify({
        definition: checkpointsProjection,
        log: world.parts().logs.checkpoint,
        pool: world.parts().pool,
      }).then((comparison) => ({ agrees: comparison.equal, difference: comparison }))
      expect(agrees, JSON.stringify(difference)).toBe(true)
    })
  })
}
