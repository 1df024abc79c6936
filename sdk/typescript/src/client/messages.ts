import { OmiumError } from '@omium/schemas'
import { createParser } from 'eventsource-parser'
import { either, type Http, pause, reconnectDelayMs } from './http.ts'

const defaultSilenceMs = 45_000

/** A server-sent event whose data is JSON. */
export interface Message {
  readonly id: string | undefined
  readonly type: string | undefined
  readonly data: unknown
}

export interface StreamOptions {
  signal?: AbortSignal
  /** a stream that is silent for longer (heartbeats included) is taken for dead, ms */
  silenceMs?: number
}

/** It has ended, and all of it has been read. */
class NothingFollows extends Error {}

/** Reads one connection: gives messages as they come, until the server ends it or it breaks. */
async function* readConnection(
  http: Http,
  path: string,
  lastId: string | undefined,
  signal: AbortSignal,
  heard: () => void,
): AsyncGenerator<Message> {
  const response = await http.open(path, {
    accept: 'text/event-stream',
    ...(lastId !== undefined && { headers: { 'last-event-id': lastId } }),
    signal,
  })
  if (response.status === 204) throw new NothingFollows()
  const ready: Message[] = []
  const parser = createParser({
    onEvent: ({ id, event: type, data }) => ready.push({ id, type, data: JSON.parse(data) }),
  })
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    heard()
    parser.feed(decoder.decode(chunk, { stream: true }))
    yield* ready.splice(0)
  }
}

/**
 * Messages of a stream of server-sent events. Broken connections are resumed after the last id that was seen.
 * @throws OmiumError when the gateway refuses for good (`execution_unknown`, `unauthenticated`, ...)
 */
export async function* messages(
  http: Http,
  path: string,
  { after, silenceMs = defaultSilenceMs, ...options }: StreamOptions & { after: string | undefined },
): AsyncGenerator<Message> {
  const ends = either(options.signal, http.signal)
  let lastId = after
  let failures = 0
  while (!ends?.aborted) {
    const watchdog = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const heard = () => {
      clearTimeout(timer)
      timer = setTimeout(() => watchdog.abort(), silenceMs)
    }
    const signal = ends ? AbortSignal.any([ends, watchdog.signal]) : watchdog.signal
    try {
      heard()
      for await (const message of readConnection(http, path, lastId, signal, heard)) {
        failures = 0
        lastId = message.id ?? lastId
        yield message
      }
    } catch (error) {
      if (ends?.aborted || error instanceof NothingFollows) return
      if (error instanceof OmiumError && !error.retryable) throw error
    } finally {
      clearTimeout(timer)
      watchdog.abort()
    }
    failures += 1
    await pause(reconnectDelayMs(failures), ends).catch(() => {})
  }
}
