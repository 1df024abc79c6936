import { hashJson, type Payload } from '@omium/schemas'

/** Going round in circles: one agent calls one tool with the same arguments, again and again among its last calls. */
export interface LoopLimits {
  readonly repeats: number
  /** so many of the last calls are looked at */
  readonly window: number
  readonly withinMs: number
}

interface Call {
  readonly signature: string
  readonly name: string
  readonly path: string
  readonly at: number
}
/** oldest first */
export type CallWindow = readonly Call[]

export interface CallMade {
  readonly name: string
  readonly path: string
  readonly input: Payload | undefined
  readonly requestHash: string
  readonly at: number
}

/** Arguments in canonical form, so that the order of members makes no other call of it. */
const signatureOf = ({ name, input, requestHash }: CallMade): string => {
  const told = input === undefined ? requestHash : 'ref' in input ? input.ref.sha256 : hashJson(input.inline)
  return `${name} ${told}`
}

export const rememberCall = (calls: CallWindow, call: CallMade, { window }: LoopLimits): CallWindow => {
  const { name, path, at } = call
  return [...calls.slice(-(window - 1)), { signature: signatureOf(call), name, path, at }]
}

/** The loop that the last call belongs to, with the paths of its calls, oldest first; null when there is none. */
export const findLoop = (
  calls: CallWindow,
  { repeats, withinMs }: LoopLimits,
  nowMs: number,
): { readonly name: string; readonly paths: readonly string[] } | null => {
  const last = calls.at(-1)
  if (!last) return null
  const same = calls.filter(({ signature, at }) => signature === last.signature && nowMs - at <= withinMs)
  return same.length < repeats ? null : { name: last.name, paths: same.map(({ path }) => path) }
}
