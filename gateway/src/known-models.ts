import { createOutsideCalls } from '@omium/resilience'
import { z } from 'zod'

/**
 * Which models a caller may ask for, as the model gateway lists them to the same key. Names that end in `*` stand for all that
 * begin so: behind them only the provider knows.
 */
export interface KnownModels {
  /** undefined when nobody can tell: there is no model gateway, it is away, or the key may not look */
  namedFor(authorization: string | undefined): Promise<readonly string[] | undefined>
  close(): void
}

const listing = z.object({ data: z.array(z.object({ id: z.string() })) })
/** a check of a definition is not worth a longer wait */
const timeoutMs = 2_000

/** @param url of the model gateway */
export const createKnownModels = (
  url: string | undefined,
  onError: (error: unknown) => void = () => undefined,
): KnownModels => {
  const gateway = createOutsideCalls({ target: 'model gateway', timeoutMs })
  return {
    namedFor: async (authorization) => {
      if (url === undefined || authorization === undefined) return undefined
      try {
        return await gateway.call(async (signal) => {
          const response = await fetch(new URL('/v1/models', url), {
            headers: { authorization },
            redirect: 'error',
            signal,
          })
          const body = await response.text()
          return response.ok ? listing.parse(JSON.parse(body)).data.map(({ id }) => id) : undefined
        })
      } catch (error) {
        onError(error)
        return undefined
      }
    },
    close: () => gateway.close(),
  }
}
