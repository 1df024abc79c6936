import { type LogContext, type OpenTail, openTail, readAggregate } from '@omium/log'
import { aggregateKey, type ExecutionEvent, OmiumError } from '@omium/schemas'
import { noEffects, noteEffects } from './domain/effects.ts'
import type { EffectHistory } from './ports.ts'

/** Effects of runs, read from the execution events topic itself: more than a follower remembers. */
export const createEffectHistory = (context: LogContext, open: OpenTail = openTail): EffectHistory => ({
  async read({ tenant, executionId, version, ranges }) {
    const effects = noEffects()
    const aggregate = aggregateKey('execution', tenant, executionId)
    const note = ({ type, data }: { type: string; data: unknown }): void =>
      noteEffects(effects, { type, data } as ExecutionEvent, ranges)
    const reached = await readAggregate(context, { aggregate, version }, note, open)
    if (reached < version || effects.total < (ranges.at(-1)?.to ?? 0)) {
      const detail = `the log has execution ${executionId} up to version ${reached}, with ${effects.total} effects`
      throw new OmiumError('execution_unknown', detail)
    }
    return effects.made.map(({ effect }) => effect)
  },
})
