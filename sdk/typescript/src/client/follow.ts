import { type EventView, OmiumError, streamCloseCodes, streamMessage } from '@omium/schemas'
import { WebSocket } from 'ws'
import { either, type Http, pause, reconnectDelayMs } from './http.ts'

/** An event of any of the tenant's executions. */
export interface FollowedEvent {
  readonly execution: string
  readonly event: EventView
}

export interface FollowOptions {
  /** last `event.position` seen of each partition; absent: from now on */
  after?: readonly string[]
  signal?: AbortSignal
  /** a connection that is silent for longer (heartbeats included) is taken for dead, ms */
  silenceMs?: number
}

const defaultSilenceMs = 45_000
/** a reader that has this many before it stops the connection until it has taken most of them */
const mostWaiting = 1_000
const fewWaiting = 100

/** Events of one connection, from after `positions`, which it advances, until it breaks. */
async function* readConnection(
  http: Http,
  positions: Map<string, string>,
  { signal, silenceMs = defaultSilenceMs }: FollowOptions,
): AsyncGenerator<FollowedEvent> {
  const { url, headers } = await http.handshake('/v1/stream')
  const socket = new WebSocket(url, { headers, perMessageDeflate: false })
  const waiting: FollowedEvent[] = []
  let over: { error?: OmiumError } | undefined
  let wake = (): void => undefined
  const end = (error?: OmiumError): void => {
    over ??= error ? { error } : {}
    wake()
  }
  const abort = (): void => end()
  signal?.addEventListener('abort', abort)
  const watchdog = setTimeout(() => end(), silenceMs)
  const after = [...positions].map(([partition, offset]) => `${partition}:${offset}`)
  socket.on('open', () =>
    socket.send(JSON.stringify({ type: 'follow', subscription: 'feed', ...(after.length > 0 && { after }) })),
  )
  socket.on('error', () => end())
  socket.on('unexpected-response', (_request, response) => {
    response.resume()
    const code = response.statusCode === 401 ? 'unauthenticated' : response.statusCode === 403 ? 'forbidden' : undefined
    end(code && new OmiumError(code, `the gateway refused the stream with ${response.statusCode}`))
  })
  socket.on('close', (code) =>
    end(
      code === streamCloseCodes.unauthenticated
        ? new OmiumError('unauthenticated', 'the API key does not open the stream any more')
        : undefined,
    ),
  )
  socket.on('message', (data) => {
    watchdog.refresh()
    const parsed = streamMessage.safeParse(JSON.parse(String(data)))
    if (!parsed.success) return
    const message = parsed.data
    if (message.type === 'error') end(OmiumError.fromFailure(message.error))
    if (message.type === 'subscribed') for (const position of message.after ?? []) advance(positions, position)
    if (message.type !== 'event') return
    waiting.push({ execution: message.execution, event: message.event })
    if (waiting.length >= mostWaiting) socket.pause()
    wake()
  })
  try {
    for (;;) {
      const next = waiting.shift()
      if (next) {
        if (socket.isPaused && waiting.length < fewWaiting) socket.resume()
        advance(positions, next.event.position)
        yield next
      } else if (over) {
        if (over.error && !over.error.retryable) throw over.error
        return
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    clearTimeout(watchdog)
    signal?.removeEventListener('abort', abort)
    socket.terminate()
  }
}

const advance = (positions: Map<string, string>, position: string): void => {
  const [partition = '', offset = ''] = position.split(':')
  positions.set(partition, offset)
}

/**
 * Events of all of the tenant's executions as they happen, each once and in the order of its execution, over one WebSocket.
 * Broken connections are resumed from the last event that was taken.
 * @throws OmiumError when the gateway refuses for good (`unauthenticated`, `forbidden`, `invalid_request`)
 */
export async function* followEvents(http: Http, options: FollowOptions = {}): AsyncGenerator<FollowedEvent> {
  const positions = new Map<string, string>()
  for (const position of options.after ?? []) advance(positions, position)
  const signal = either(options.signal, http.signal)
  for (let failures = 0; !signal?.aborted; failures++) {
    for await (const followed of readConnection(http, positions, { ...options, ...(signal && { signal }) })) {
      failures = 0
      yield followed
    }
    await pause(reconnectDelayMs(failures), signal).catch(() => {})
  }
}
