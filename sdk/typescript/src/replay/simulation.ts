import { OmiumError, type Recording } from '@omium/schemas'

/** A call that a simulated run may not make. */
export interface Simulated {
  readonly path: string
  readonly name: string
  readonly requestHash: string
  /** it has an effect outside: another request than the recorded one may take the same answer */
  readonly effect: boolean
}

/** Nothing that was recorded answers the call, and nothing live may. */
export const replayMiss = (asked: { path: string; kind: string; requestHash: string }): OmiumError =>
  new OmiumError(
    'replay_miss',
    `Step "${asked.path}" (a ${asked.kind}, request ${asked.requestHash}) was never recorded, and a replay makes no live calls. ` +
      'The code asks for something that the recorded run did not; fork the run to make the call for real.',
    { data: { path: asked.path, kind: asked.kind, requestHash: asked.requestHash } },
  )

/**
 * Answers calls from what other runs recorded.
 *
 * 1. The same path and request first, then the same name and request, each recording once and the last one from then on;
 *    for an effect, then the newest of its name.
 * 2. Whoever asks in the same order gets the same answers.
 */
export class Simulation {
  readonly #byPath = new Map<string, Recording>()
  readonly #byRequest = new Map<string, Recording[]>()
  readonly #newest = new Map<string, Recording>()

  constructor(recordings: readonly Recording[]) {
    for (const recording of recordings) {
      const { path, name, requestHash } = recording
      this.#byPath.set(`${path} ${requestHash}`, recording)
      const request = `${name} ${requestHash}`
      const known = this.#byRequest.get(request)
      if (known) known.push(recording)
      else this.#byRequest.set(request, [recording])
      this.#newest.set(name, recording)
    }
  }

  find({ path, name, requestHash, effect }: Simulated): Recording | undefined {
    const candidates = this.#byRequest.get(`${name} ${requestHash}`)
    const exact = this.#byPath.get(`${path} ${requestHash}`)
    if (exact) {
      const index = candidates?.indexOf(exact) ?? -1
      if (candidates && index >= 0 && candidates.length > 1) candidates.splice(index, 1)
      return exact
    }
    if (candidates) return candidates.length > 1 ? candidates.shift() : candidates[0]
    return effect ? this.#newest.get(name) : undefined
  }
}
