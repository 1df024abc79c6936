import {
  aggregateKey,
  executionIdParam,
  forkBody,
  type JournalItem,
  type JsonValue,
  journalPage,
  OmiumError,
  rewindPreview,
  rollBackBody,
  runDiff,
  writeReceipt,
} from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import { requireExecution } from '../reads.ts'
import { askerOf, commandIdOf, newIdOf } from '../requests.ts'
import { type Alignment, alignRuns, diffRuns } from '../rewind/diff.ts'
import { comparedRun, journalEntryOf, type RecordedStep, type RunHistory } from '../rewind/history.ts'
import { keptCount, previewOf } from '../rewind/preview.ts'
import { forkOptions, keptBy, startFork } from '../rewind/start-fork.ts'
import type { Services } from '../services.ts'

const bytesOfPage = 4 * 1024 * 1024

/** Going back in a run, starting others from it, and comparing runs. */
export const rewindRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { commands, payloads, ids } = services
    const tags = ['executions']
    const params = executionIdParam
    const write = { permission: 'executions:write' } as const
    const read = { permission: 'executions:read' } as const

    const historyOf = async (tenant: string, id: string): Promise<RunHistory> => {
      await services.executions.untilCurrent(aggregateKey('execution', tenant, id))
      return services.histories.read(tenant, await requireExecution(services, tenant, id))
    }

    app.post(
      '/v1/executions/:id/rollback',
      {
        config: write,
        schema: {
          tags,
          summary: 'Roll back: forget what was recorded after a step, and go on from there',
          params,
          body: rollBackBody,
          response: { 200: writeReceipt },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const { id } = request.params
        const { toPath, reason, overrides } = request.body
        const record = await requireExecution(services, tenant, id)
        // what a run took over from another is not in its engine's state: whether the path is in there is known here
        if (record.forkedFrom !== null) keptCount(await historyOf(tenant, id), toPath)
        return reply.send(
          await commands.execute(askerOf(request), id, commandIdOf(request, ids, id), {
            type: 'RollBackExecution',
            data: { toPath, ...(reason !== undefined && { reason }), ...(overrides && { overrides }) },
          }),
        )
      },
    )

    app.post(
      '/v1/executions/:id/rollback/preview',
      {
        config: read,
        schema: {
          tags,
          summary: 'What a roll back would keep, run again and cost',
          params,
          body: rollBackBody.pick({ toPath: true }),
          response: { 200: rewindPreview },
        },
      },
      async (request) => {
        const history = await historyOf(callerOf(request).tenant, request.params.id)
        const { toPath } = request.body
        // all that the run itself recorded; what it took over stays
        const kept = toPath === null ? history.steps.filter(({ seeded }) => seeded).length : keptCount(history, toPath)
        return previewOf(history, kept, { cancelsChildren: true })
      },
    )

    app.post(
      '/v1/executions/:id/fork',
      {
        config: write,
        schema: {
          tags,
          summary: 'Start another execution from the results that this one has recorded',
          description:
            'With another input, results, model, prompt or agent, if wanted. The run that is forked goes on.',
          params,
          body: forkBody,
          response: { 201: writeReceipt, 200: writeReceipt },
        },
      },
      async (request, reply) => {
        const { id: forkId = newIdOf(request, ids, 'execution'), options, ...asked } = request.body
        const history = await historyOf(callerOf(request).tenant, request.params.id)
        const merged = forkOptions(history.record.options, options)
        const receipt = await startFork(services, askerOf(request), forkId, history, asked, merged)
        return reply.status(receipt.deduplicated ? 200 : 201).send(receipt)
      },
    )

    app.post(
      '/v1/executions/:id/fork/preview',
      {
        config: read,
        schema: {
          tags,
          summary: 'What a fork would take over, run again and cost',
          params,
          body: forkBody,
          response: { 200: rewindPreview },
        },
      },
      async (request) => {
        const history = await historyOf(callerOf(request).tenant, request.params.id)
        const edited = (request.body.outputs ?? []).map(({ path }) => path)
        const kept = keptBy(history, request.body)
        for (const path of edited) {
          if (keptCount(history, path) <= kept) continue
          throw new OmiumError('step_unknown', `outputs: the fork takes over no result at ${path}`)
        }
        return previewOf(history, kept, { edited, cancelsChildren: false })
      },
    )

    app.get(
      '/v1/executions/:id/journal',
      {
        config: read,
        schema: {
          tags,
          summary: "The run's recorded results, as code that is replayed gets them",
          description: 'In the order of settlement, those first that it took over from another run.',
          params,
          querystring: z.object({
            limit: z.coerce.number().int().min(1).max(1000).default(200),
            cursor: z
              .string()
              .regex(/^\d{1,9}$/, 'not one that this list gave')
              .optional(),
          }),
          response: { 200: journalPage },
        },
      },
      async (request) => {
        const { limit, cursor } = request.query
        const { steps } = await historyOf(callerOf(request).tenant, request.params.id)
        const items: JournalItem[] = []
        let next = Number(cursor ?? 0)
        for (let bytes = 0; next < steps.length && items.length < limit && bytes < bytesOfPage; next++) {
          const step = steps[next] as RecordedStep
          const entry = await journalEntryOf(step, payloads)
          bytes += JSON.stringify(entry).length
          items.push({ name: step.name, entry })
        }
        return { items, ...(next < steps.length && { nextCursor: String(next) }) }
      },
    )

    app.get(
      '/v1/executions/:id/diff/:other',
      {
        config: read,
        schema: {
          tags,
          summary: 'Where two runs part, why, and what follows from it',
          params: executionIdParam.extend({ other: executionIdParam.shape.id }),
          response: { 200: runDiff },
        },
      },
      async (request) => {
        const { tenant } = callerOf(request)
        const { id, other } = request.params
        const [a, b] = await Promise.all([historyOf(tenant, id), historyOf(tenant, other)])
        const [runA, runB] = [comparedRun(a), comparedRun(b)]
        const alignment = alignRuns(runA, runB)
        const [inputA, inputB] = await Promise.all([inputOf(alignment, 'a'), inputOf(alignment, 'b')])
        return diffRuns(runA, runB, alignment, inputA, inputB)
      },
    )

    const inputOf = async ({ rows, first }: Alignment, side: 'a' | 'b'): Promise<{ input: JsonValue | undefined }> => {
      const input = rows[first]?.[side]?.input
      return { input: input && (await payloads.open(input)) }
    }
  }
