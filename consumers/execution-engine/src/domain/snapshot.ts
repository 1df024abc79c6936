import type { ExecutionState } from './execution.ts'
import type { PermitPool } from './permits.ts'

/** Plain JSON of states that hold maps and sets, and back. The order of maps carries meaning and is kept. */

type Plain<T> = {
  [K in keyof T]: T[K] extends Map<infer A, infer B> ? [A, B][] : T[K] extends Set<infer A> ? A[] : T[K]
}

export type EncodedExecution = Plain<ExecutionState>

export const encodeExecution = (state: ExecutionState): EncodedExecution => ({
  ...state,
  settled: [...state.settled],
  open: [...state.open],
  waits: [...state.waits],
  signals: [...state.signals],
  signalIds: [...state.signalIds],
  abandoned: [...state.abandoned],
})

export const decodeExecution = (encoded: EncodedExecution): ExecutionState => ({
  ...encoded,
  settled: new Map(encoded.settled),
  open: new Map(encoded.open),
  waits: new Map(encoded.waits),
  signals: new Map(encoded.signals),
  signalIds: new Set(encoded.signalIds),
  abandoned: new Map(encoded.abandoned),
})

export type EncodedPool = Plain<PermitPool>

export const encodePool = (pool: PermitPool): EncodedPool => ({
  ...pool,
  holders: [...pool.holders],
  queue: [...pool.queue],
  released: [...pool.released],
})

export const decodePool = (encoded: EncodedPool): PermitPool => ({
  ...encoded,
  holders: new Set(encoded.holders),
  queue: new Map(encoded.queue),
  released: new Set(encoded.released),
})
