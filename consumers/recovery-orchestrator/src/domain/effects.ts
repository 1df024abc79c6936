import type { CompletedEffect, ExecutionEvent, Payload } from '@omium/schemas'

/**
 * The effects that a run has made and that were not undone: the fold of its events.
 *
 * 1. An effect is made when its intent has a result. Rolling a run back unmakes nothing; a recovery that says `undone` does.
 * 2. Effects are counted from 0 in the order in which they were made, so that any part of them can be read from the log again.
 */
export interface Effects {
  readonly intents: Map<string, Intent>
  /** those that are remembered, oldest first */
  made: CompletedEffect[]
  /** how many there are in all */
  total: number
}

interface Intent {
  readonly name: string
  readonly idempotencyKey: string
  readonly input?: Payload
}

/** Which effects are told of at once, by their numbers. */
export interface EffectRange {
  readonly from: number
  /** exclusive */
  readonly to: number
}

/** so many effects a compensation is told of at once */
export const effectsPerPage = 100
const maxEffectBytes = 1024

export const noEffects = (): Effects => ({ intents: new Map(), made: [], total: 0 })

export const pagesOf = (total: number): number => Math.ceil(total / effectsPerPage)

/** The newest effects are the first page: what was made last is undone first. @param page from 1 */
export const rangeOfPage = (total: number, page: number): EffectRange => ({
  from: Math.max(0, total - page * effectsPerPage),
  to: total - (page - 1) * effectsPerPage,
})

/** Applies an event. @param range those to remember; absent: the last {@link effectsPerPage} */
export const noteEffects = (effects: Effects, event: ExecutionEvent, range?: EffectRange): void => {
  switch (event.type) {
    case 'StepStarted': {
      const { path, name, kind, intent, input } = event.data
      // a model call's intent reserves money: nothing of it can be undone
      if (!intent || kind === 'llm') return
      const given = small(input)
      effects.intents.set(path, { name, idempotencyKey: intent.idempotencyKey, ...(given && { input: given }) })
      return
    }
    case 'StepCompleted':
      made(effects, event.data.path, event.data.input, event.data.output, range)
      return
    case 'StepFailed':
      if (event.data.retryAt === null) effects.intents.delete(event.data.path)
      return
    case 'StepOutcomeResolved': {
      const { path, resolution } = event.data
      if (resolution.status === 'completed') made(effects, path, undefined, resolution.output, range)
      if (resolution.status === 'failed') effects.intents.delete(path)
      return
    }
    case 'ExecutionRolledBack':
      effects.intents.clear()
      return
    case 'ExecutionRecovered':
      // what is undone must not be undone again for the next failure
      if (event.data.action.type === 'roll_back' && event.data.action.undone) {
        effects.made = []
        effects.total = 0
      }
      return
    default:
      return
  }
}

const made = (
  effects: Effects,
  path: string,
  input: Payload | undefined,
  output: Payload,
  range: EffectRange | undefined,
): void => {
  const intent = effects.intents.get(path)
  if (!intent) return
  effects.intents.delete(path)
  const number = effects.total++
  if (range && (number < range.from || number >= range.to)) return
  const { name, idempotencyKey } = intent
  const given = intent.input ?? small(input)
  const got = small(output)
  effects.made.push({ path, name, idempotencyKey, ...(given && { input: given }), ...(got && { output: got }) })
  if (!range && effects.made.length > effectsPerPage) effects.made.shift()
}

const small = (payload: Payload | undefined): Payload | undefined =>
  payload && ('ref' in payload || JSON.stringify(payload).length <= maxEffectBytes) ? payload : undefined
