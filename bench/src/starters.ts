import { setImmediate } from 'node:timers/promises'
import { openCommandSender } from '@omium/log'
import { openLog } from '@omium/projection-kit'
import { aggregateKey, eventsTopic, executionContext, executionOptions, requestHashOf } from '@omium/schemas'
import { omium } from '@omium/sdk'
import { tenSteps } from './agents.ts'
import type { BenchStack } from './stack.ts'

/** Starts a ten-step run and waits for its result. */
export interface Starter {
  run(): Promise<void>
  close(): Promise<void>
}

/** Over HTTP with the SDK's client: one request to start, one long poll for the result, on kept connections. */
export const viaGateway = (stack: BenchStack): Starter => {
  const { OMIUM_URL: url, OMIUM_API_KEY: apiKey } = stack.environment
  const client = omium({ ...(url && { url }), ...(apiKey && { apiKey }) })
  return {
    run: async () => {
      const run = await client.start(tenSteps, { start: 1 })
      check(await run.result())
    },
    close: async () => {},
  }
}

const check = (result: unknown): void => {
  if (result !== 11) throw new Error(`a run ended with ${JSON.stringify(result)} instead of 11`)
}

const tenant = 'ten_local'

/** A command record for each start, and one tail over the events for all results: what the gateway does, without HTTP. */
export const viaLog = async (stack: BenchStack): Promise<Starter> => {
  const log = await openLog(stack.environment, executionContext, 'omium-bench', () => {})
  const { context } = log
  const sender = await openCommandSender(context)
  const ends = await context.transport.endOffsets(eventsTopic(context.topicPrefix, executionContext.name))
  const tail = await log.openTail(
    context,
    [...ends].map(([partition, fromOffset]) => ({ partition, fromOffset })),
  )
  const waiting = new Map<string, (outcome: { result: unknown } | { error: Error }) => void>()
  let closed = false
  const read = async (): Promise<void> => {
    for (;;) {
      const batch = await tail.next()
      if (!batch || closed) return
      for (const { type, data, envelope } of batch.events) {
        const settle = waiting.get(envelope.aggregate)
        if (!settle) continue
        if (type === 'ExecutionCompleted') settle({ result: (data as { output: { inline?: unknown } }).output.inline })
        if (type === 'ExecutionFailed' || type === 'CommandRejected')
          settle({ error: new Error(`${type}: ${JSON.stringify(data)}`) })
      }
      await setImmediate()
    }
  }
  const reading = read()
  const input = { start: 1 }
  return {
    run: async () => {
      const executionId = context.ids('execution')
      const aggregate = aggregateKey('execution', tenant, executionId)
      const ended = new Promise<{ result: unknown } | { error: Error }>((settle) => waiting.set(aggregate, settle))
      try {
        await sender.send({
          id: context.ids('command'),
          type: 'StartExecution',
          data: {
            executionId,
            agentId: tenSteps.id,
            input: { inline: input },
            requestHash: requestHashOf({ agent: tenSteps.id, input }),
            options: executionOptions.parse({}),
          },
          aggregate,
          tenant,
          actor: 'bench',
          correlationId: executionId,
        })
        const outcome = await ended
        if ('error' in outcome) throw outcome.error
        check(outcome.result)
      } finally {
        waiting.delete(aggregate)
      }
    },
    close: async () => {
      closed = true
      await sender.close()
      await tail.close()
      await reading
      await log.close()
    },
  }
}
