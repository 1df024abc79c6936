import { errorCatalogue, type JsonValue, OmiumError, type Payload } from '@omium/schemas'
import type { Payloads } from './ports.ts'

const firstDelayMs = 100
const maxDelayMs = 5_000

/**
 * Payloads of one run that outlast an object store that is away: what fails for a reason that passes is tried again while
 * the run still wants it. To give the attempt up instead would run its steps again, and pay for them again, for nothing.
 */
export class PatientPayloads implements Payloads {
  readonly #payloads: Payloads
  readonly #delay: (ms: number) => Promise<void>
  readonly #isWanted: () => boolean

  constructor(payloads: Payloads, delay: (ms: number) => Promise<void>, isWanted: () => boolean) {
    this.#payloads = payloads
    this.#delay = delay
    this.#isWanted = isWanted
  }

  seal(tenant: string, executionId: string, value: JsonValue): Promise<Payload> {
    return this.#insist(() => this.#payloads.seal(tenant, executionId, value))
  }

  open(payload: Payload): Promise<JsonValue> {
    return this.#insist(() => this.#payloads.open(payload))
  }

  async #insist<T>(job: () => Promise<T>): Promise<T> {
    for (let delayMs = firstDelayMs; ; delayMs = Math.min(maxDelayMs, 2 * delayMs)) {
      try {
        return await job()
      } catch (error) {
        // also when the store itself says no: whoever runs it will put that right, and no run is to blame
        const passes = error instanceof OmiumError && errorCatalogue[error.code].retryable
        if (!passes || !this.#isWanted()) throw error
      }
      await this.#delay(delayMs)
    }
  }
}
