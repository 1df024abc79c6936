import { setTimeout as delay } from 'node:timers/promises'
import type { EventView } from '@omium/schemas'
import { type Client, OmiumError } from '@omium/sdk'
import { childOf, isModelCall, isStepResult, type SeenEvent, startedBy } from './account.ts'

/** A run and its children as they are seen live: everything is pushed, nothing is polled. */
export interface Watch {
  readonly events: readonly SeenEvent[]
  /** worker that holds an execution now, by execution id */
  readonly holders: ReadonlyMap<string, string>
  /** child executions that have been asked for and have not ended */
  readonly openChildren: ReadonlySet<string>
  readonly recordedSteps: number
  readonly recordedModelCalls: number
  /** resolves when every followed execution has ended */
  readonly ended: Promise<void>
}

const terminal = new Set(['ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled'])

/** Follows an execution and, from the moment they are asked for, its children. `onEvent` is called after each event. */
export const watchRun = (
  client: Client,
  executionId: string,
  onEvent: (watch: Watch, seen: SeenEvent) => void,
): Watch => {
  const events: SeenEvent[] = []
  const holders = new Map<string, string>()
  const openChildren = new Set<string>()
  let recordedSteps = 0
  let recordedModelCalls = 0

  const note = (id: string, event: EventView): string | undefined => {
    const started = startedBy(event)
    if (started) holders.set(id, started.workerId)
    if (event.type === 'AttemptLost' || event.type === 'ExecutionSuspended' || terminal.has(event.type))
      holders.delete(id)
    if (terminal.has(event.type)) openChildren.delete(id)
    if (isStepResult(event)) recordedSteps++
    if (isModelCall(event)) recordedModelCalls++
    return childOf(event)?.childId
  }

  const follow = async (id: string): Promise<void> => {
    const children: Promise<void>[] = []
    for await (const event of eventsOf(client, id)) {
      const seen = { executionId: id, event, seenAt: Date.now() }
      events.push(seen)
      const child = note(id, event)
      if (child !== undefined) {
        openChildren.add(child)
        children.push(follow(child))
      }
      onEvent(watch, seen)
    }
    await Promise.all(children)
  }

  const watch: Watch = {
    events,
    holders,
    openChildren,
    get recordedSteps() {
      return recordedSteps
    },
    get recordedModelCalls() {
      return recordedModelCalls
    },
    ended: Promise.resolve().then(() => follow(executionId)),
  }
  watch.ended.catch(() => {})
  return watch
}

const childAppearsWithinMs = 60_000

/** A child is asked for by its parent's event, and exists for readers a moment later. */
async function* eventsOf(client: Client, id: string): AsyncGenerator<EventView> {
  const deadline = performance.now() + childAppearsWithinMs
  for (;;) {
    try {
      yield* client.handle(id).events()
      return
    } catch (error) {
      const early = error instanceof OmiumError && (error.code === 'execution_unknown' || error.code === 'not_found')
      if (!early || performance.now() > deadline) throw error
      await delay(10)
    }
  }
}
