import { randomBytes } from 'node:crypto'
import { putTenants } from '@omium/access/testing'
import { eventually, freshPrefix, newApiKey, spawnService, testStack } from '@omium/dev/testing'
import { openTail } from '@omium/log'
import { createS3ObjectStore } from '@omium/payloads'
import { checkpointsProjection } from '@omium/projection-checkpoints'
import { executionsProjection } from '@omium/projection-executions'
import { aggregateKey, checkpointObjectsPrefix, hashJson } from '@omium/schemas'
import { expect } from 'vitest'
import { openedLater, openFrame } from '../frame.ts'
import { ScriptedEngine } from '../scripted-engine.ts'

const partitions = 2
const keyA = newApiKey()
export const keyB = newApiKey()

const start = async () => {
  const bucket = freshPrefix()
  const frame = await openFrame({
    OMIUM_PARTITIONS: String(partitions),
    OMIUM_S3_BUCKET: bucket,
    OMIUM_OWNER_SESSION_TIMEOUT_MS: '1500',
    OMIUM_ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
  })
  const { env, databaseUrl, pool, logs, adopt, close } = frame
  await putTenants(databaseUrl, env, { tenant: 'ten_a', apiKey: keyA }, { tenant: 'ten_b', apiKey: keyB })
  const objects = adopt(await createS3ObjectStore({ ...testStack().s3, bucket }), (one) => one.close())
  const { engine, owner } = await ScriptedEngine.start(logs.execution.context, partitions, 'ws://127.0.0.1:1')
  adopt(owner, (one) => one.close())
  await frame.project(executionsProjection, 'execution')
  await frame.project(checkpointsProjection, 'checkpoint')
  const spawn = () =>
    spawnService(
      'consumers/checkpoint-manager/src/main.ts',
      { ...env, OMIUM_CHECKPOINTS_PORT: '0' },
      { readyLine: /"msg":"ready"/, readyTimeoutMs: 90_000 },
    )
  let manager = await spawn()
  adopt(undefined, () => manager.kill())
  const gateway = adopt(await frame.startGateway({ commandTimeoutMs: 20_000 }), (one) => one.close())
  await eventually(() => expect(engine.owns).toBe(partitions), { timeoutMs: 30_000 })
  return {
    pool,
    logs,
    objects,
    engine,
    gateway,
    killManager: () => manager.kill('SIGKILL'),
    startManager: async () => {
      manager = await spawn()
    },
    close,
  }
}

/** The real log, database, object store and checkpoint manager, once it is opened; a scripted engine in place of runs. */
export const checkpointsWorld = () => {
  const world = openedLater(start)
  const { parts } = world

  const ask = async (method: string, path: string, body: unknown, key: string) => {
    const response = await fetch(`${parts().gateway.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
    return { status: response.status, body: (text ? JSON.parse(text) : null) as any }
  }
  /** As clients do: a gateway that is overloaded, which a state of 50 MiB can do to it, is asked again. */
  const call = (method: string, path: string, body?: unknown, key = keyA) =>
    eventually(
      async () => {
        const answer = await ask(method, path, body, key)
        expect(answer.status).not.toBe(503)
        return answer
      },
      { timeoutMs: 60_000 },
    )
  const put = (thread: string, id: string, state: unknown, more: object = {}) =>
    call('POST', '/v1/checkpoints', { thread, id, state: { json: state }, ...more })
  const list = async (query: string) => (await call('GET', `/v1/checkpoints?${query}`)).body.items as { id: string }[]
  const ids = (items: { id: string }[]) => items.map(({ id }) => id)

  /** keys of a thread's objects, really there */
  const stored = (thread: string) => parts().objects.list(`${checkpointObjectsPrefix}ten_a/${thread}/`)
  const keyOf = async (thread: string, state: unknown) => {
    const { sha256 } = (await call('GET', `/v1/checkpoints?thread=${thread}`)).body.items.find(
      (item: { sha256: string }) => item.sha256 === shaOf(state),
    )
    return (await stored(thread)).find((key) => key.endsWith(sha256)) ?? ''
  }
  const shaOf = (state: unknown) => hashJson(state)
  const flipOneBit = async (key: string, at = -1) => {
    const body = Buffer.from(await parts().objects.get(key))
    const index = at < 0 ? body.length + at : at
    body[index] = (body[index] ?? 0) ^ 1
    await parts().objects.put(key, body)
  }
  const types = async (thread: string) => {
    const { context } = parts().logs.checkpoint
    const ends = await context.transport.endOffsets(`${context.topicPrefix}.checkpoint.events`)
    const found: { type: string; data: Record<string, unknown> }[] = []
    for (const [partition, end] of ends) {
      if (end === 0) continue
      const tail = await openTail(context, [{ partition, fromOffset: 0 }])
      for (let batch = await tail.next(); batch; batch = await tail.next()) {
        for (const { envelope, type, data } of batch.events) {
          if (envelope.aggregate === aggregateKey('thread', 'ten_a', thread) && envelope.version > 0) {
            found.push({ type, data: data as Record<string, unknown> })
          }
        }
        if (batch.nextOffset >= end) break
      }
      await tail.close()
    }
    return found
  }

  return {
    ...world,
    call,
    put,
    list,
    ids,
    stored,
    keyOf,
    shaOf,
    flipOneBit,
    types,
  }
}
export type CheckpointsWorld = ReturnType<typeof checkpointsWorld>
