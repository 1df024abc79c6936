import { type CheckpointRecord, getCheckpoint, getRetention, listCheckpoints } from '@omium/projection-checkpoints'
import {
  aggregateKey,
  type CheckpointCommand,
  checkpointDetail,
  checkpointParams,
  checkpointQuery,
  checkpointReceipt,
  checkpointRetention,
  checkpointVerdict,
  checkpointView,
  checkpointWritesBody,
  createCheckpointBody,
  deleteCheckpointsBody,
  executionIdParam,
  type JournalEntry,
  listCheckpointsQuery,
  maxCheckpointBytes,
  OmiumError,
  page,
  pinBody,
  retentionBody,
  rollbackBody,
  rollbackReply,
  threadParam,
  threadReceipt,
  type WriteReceipt,
} from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import { bytesOf, checkpointViewOf, readCheckpoint, verifyCheckpoint } from '../checkpoints/states.ts'
import { requireExecution } from '../reads.ts'
import { askerOf, commandIdOf, newIdOf } from '../requests.ts'
import type { Services } from '../services.ts'

/** base64 takes four bytes for three, and something goes around it */
const bodyLimit = Math.ceil((maxCheckpointBytes * 4) / 3) + 1024 * 1024

const newest = 'latest'

/** Checkpoints: making, finding, reading, verifying and keeping them, and going back to them. */
export const checkpointRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { checkpoints, checkpointObjects, commands, executions, reads, ids } = services
    const tags = ['checkpoints']
    const read = { permission: 'checkpoints:read' } as const
    const write = { permission: 'checkpoints:write' } as const

    const threadOf = (request: FastifyRequest, thread: string): string =>
      aggregateKey('thread', callerOf(request).tenant, thread)
    /** waits for what this gateway has told anybody about the thread, or about all, and for a position */
    const current = async (request: FastifyRequest, thread: string | undefined): Promise<void> => {
      await checkpoints.untilCurrent(thread === undefined ? undefined : threadOf(request, thread))
    }
    const execute = (request: FastifyRequest, thread: string, command: CheckpointCommand) =>
      checkpoints.execute(askerOf(request), threadOf(request, thread), commandIdOf(request, ids, thread), command)

    /** @throws OmiumError `checkpoint_unknown`, also for those of other tenants */
    const require = async (
      tenant: string,
      { thread, id }: { thread: string; id: string },
      { namespace, order }: z.infer<typeof checkpointQuery> & { order?: 'created' | 'id' },
    ): Promise<CheckpointRecord> => {
      await checkpoints.untilCurrent(aggregateKey('thread', tenant, thread))
      const record =
        id === newest
          ? (
              await listCheckpoints(reads, tenant, {
                thread,
                namespace,
                order: order ?? 'created',
                superseded: false,
                limit: 1,
              })
            ).items[0]
          : await getCheckpoint(reads, tenant, thread, namespace, id)
      if (!record) throw new OmiumError('checkpoint_unknown', `there is no checkpoint ${id} of thread ${thread}`)
      return record
    }

    app.post(
      '/v1/checkpoints',
      {
        config: write,
        bodyLimit,
        schema: {
          tags,
          summary: 'Store a state',
          description: 'The same id and state make one checkpoint, however often they are sent.',
          body: createCheckpointBody,
          response: { 201: checkpointReceipt, 200: checkpointReceipt },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const {
          thread,
          id = newIdOf(request, ids, 'checkpoint'),
          namespace,
          parent,
          needsParent,
          label,
          metadata,
          state,
        } = request.body
        const { format, body } = bytesOf(state)
        const decided = await execute(request, thread, {
          type: 'CreateCheckpoint',
          data: {
            namespace,
            checkpointId: id,
            kind: 'state',
            object: await checkpointObjects.store(tenant, thread, body),
            format,
            ...(parent !== undefined && { parentId: parent }),
            ...(needsParent !== undefined && { needsParent }),
            ...(label !== undefined && { label }),
            ...(metadata !== undefined && { metadata }),
          },
        })
        return reply.status(decided.deduplicated ? 200 : 201).send({ thread, checkpoint: id, ...decided })
      },
    )

    app.get(
      '/v1/checkpoints',
      {
        config: read,
        schema: {
          tags,
          summary: 'List checkpoints, newest first, without their states',
          querystring: listCheckpointsQuery,
          response: { 200: page(checkpointView) },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        await current(request, request.query.thread)
        const { items, ...rest } = await listCheckpoints(reads, tenant, request.query)
        return { items: items.map(checkpointViewOf), ...rest }
      },
    )

    app.get(
      '/v1/executions/:id/checkpoints',
      {
        config: read,
        schema: {
          tags,
          summary: 'Checkpoints of a run, newest first',
          params: executionIdParam,
          querystring: listCheckpointsQuery.pick({ limit: true, cursor: true, kind: true }),
          response: { 200: page(checkpointView) },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id: thread } = await requireExecution(services, tenant, request.params.id)
        await current(request, thread)
        const filter = { ...request.query, thread, order: 'created', superseded: true } as const
        const { items, ...rest } = await listCheckpoints(reads, tenant, filter)
        return { items: items.map(checkpointViewOf), ...rest }
      },
    )

    app.get(
      '/v1/checkpoints/:thread/:id',
      {
        config: read,
        schema: {
          tags,
          summary: 'A checkpoint with its state; `latest` is the newest one that is intact',
          params: checkpointParams,
          querystring: checkpointQuery.extend({ order: listCheckpointsQuery.shape.order }),
          response: { 200: checkpointDetail },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const record = await require(tenant, request.params, request.query)
        const latest = request.params.id === newest ? { byId: request.query.order === 'id' } : null
        return readCheckpoint(services, askerOf(request), record, latest)
      },
    )

    app.post(
      '/v1/checkpoints/:thread/:id/writes',
      {
        config: write,
        bodyLimit,
        schema: {
          tags,
          summary: 'Store what a task wrote on top of a checkpoint',
          params: checkpointParams,
          querystring: checkpointQuery.pick({ namespace: true }),
          body: checkpointWritesBody,
          response: { 200: checkpointReceipt },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { thread, id } = request.params
        const { state, ...rest } = request.body
        const { format, body } = bytesOf(state)
        const object = await checkpointObjects.store(tenant, thread, body)
        const data = { namespace: request.query.namespace, checkpointId: id, ...rest, object, format }
        const decided = await execute(request, thread, { type: 'AddCheckpointWrites', data })
        return { thread, checkpoint: id, ...decided }
      },
    )

    app.post(
      '/v1/checkpoints/:thread/:id/verify',
      {
        config: read,
        schema: {
          tags,
          summary: 'Read the stored state and say whether it is what was stored',
          params: checkpointParams,
          querystring: checkpointQuery,
          response: { 200: checkpointVerdict },
        },
      },
      async (request) => {
        const record = await require(callerOf(request).tenant, request.params, request.query)
        return verifyCheckpoint(services, askerOf(request), record)
      },
    )

    for (const [verb, type] of [
      ['pin', 'PinCheckpoint'],
      ['unpin', 'UnpinCheckpoint'],
    ] as const)
      app.post(
        `/v1/checkpoints/:thread/:id/${verb}`,
        {
          config: write,
          schema: {
            tags,
            summary: verb === 'pin' ? 'Keep a checkpoint for somebody who needs it' : 'It is not needed any more',
            params: checkpointParams,
            querystring: checkpointQuery.pick({ namespace: true }),
            body: pinBody,
            response: { 200: checkpointReceipt },
          },
        },
        async (request) => {
          const { thread, id } = request.params
          const data = { namespace: request.query.namespace, checkpointId: id, ...request.body }
          return { thread, checkpoint: id, ...(await execute(request, thread, { type, data })) }
        },
      )

    app.post(
      '/v1/checkpoints/:thread/:id/rollback',
      {
        config: write,
        schema: {
          tags,
          summary: 'Go back to a checkpoint: a run goes on from there, and newer checkpoints are superseded',
          params: checkpointParams,
          querystring: checkpointQuery,
          body: rollbackBody.nullish(),
          response: { 200: rollbackReply },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const record = await require(tenant, request.params, request.query)
        const { thread, id, namespace, point } = record
        // the thread would refuse it when the run has gone back already
        if (record.superseded)
          throw new OmiumError(
            'invalid_request',
            `checkpoint ${id} is superseded: the thread was rolled back behind it`,
          )
        const reason = request.body?.reason
        const asker = askerOf(request)
        const commandId = commandIdOf(request, ids, thread)
        const why = reason === undefined ? {} : { reason }
        let beforeVersion: number | undefined
        const runCommandId = `${commandId}-run`
        // the run may go on, and leave checkpoints, before the thread hears of it
        const unsubscribe = executions.live.subscribe(
          aggregateKey('execution', tenant, point?.executionId ?? thread),
          ({ envelope, type }) => {
            if (type === 'ExecutionRolledBack' && envelope.commandId === runCommandId) beforeVersion = envelope.version
          },
        )
        const rollBackRun = async (): Promise<WriteReceipt | null> =>
          point &&
          commands.execute(asker, point.executionId, runCommandId, {
            type: 'RollBackExecution',
            data: { toPath: point.path ?? (await lastPathOf(record, request)), ...why },
          })
        const run = await rollBackRun().finally(unsubscribe)
        const { position } = await checkpoints.execute(asker, threadOf(request, thread), commandId, {
          type: 'RollBackThread',
          data: { namespace, checkpointId: id, ...why, ...(beforeVersion !== undefined && { beforeVersion }) },
        })
        const execution = run ? { execution: run.executionId, position: run.position } : { position }
        return { thread, checkpoint: id, ...execution }
      },
    )

    /** the last result that a run's checkpoint holds; null when it holds none */
    const lastPathOf = async (record: CheckpointRecord, request: FastifyRequest): Promise<string | null> => {
      const { state } = await readCheckpoint(services, askerOf(request), record, null)
      const journal = 'json' in state ? (state.json as unknown as JournalEntry[]) : []
      return journal.at(-1)?.path ?? null
    }

    app.delete(
      '/v1/threads/:thread',
      {
        config: write,
        schema: {
          tags,
          summary: 'Delete a thread with all its checkpoints',
          params: threadParam,
          response: { 200: threadReceipt },
        },
      },
      async (request) => {
        const { thread } = request.params
        return { thread, ...(await execute(request, thread, { type: 'DeleteThread', data: {} })) }
      },
    )

    app.post(
      '/v1/threads/:thread/delete',
      {
        config: write,
        schema: {
          tags,
          summary: 'Delete checkpoints that nothing needs',
          params: threadParam,
          body: deleteCheckpointsBody,
          response: { 200: threadReceipt },
        },
      },
      async (request) => {
        const { thread } = request.params
        const refs = request.body.checkpoints.map(({ namespace, id }) => ({ namespace, checkpointId: id }))
        return {
          thread,
          ...(await execute(request, thread, { type: 'DeleteCheckpoints', data: { checkpoints: refs } })),
        }
      },
    )

    app.put(
      '/v1/threads/:thread/retention',
      {
        config: write,
        schema: {
          tags,
          summary: 'Say what a thread keeps',
          params: threadParam,
          body: retentionBody,
          response: { 200: threadReceipt },
        },
      },
      async (request) => {
        const { thread } = request.params
        return {
          thread,
          ...(await execute(request, thread, { type: 'SetRetention', data: { retention: request.body } })),
        }
      },
    )

    app.get(
      '/v1/threads/:thread/retention',
      {
        config: read,
        schema: {
          tags,
          summary: 'What a thread keeps',
          params: threadParam,
          response: { 200: z.object({ retention: checkpointRetention }) },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { thread } = request.params
        await current(request, thread)
        return { retention: await getRetention(reads, tenant, thread) }
      },
    )
  }
