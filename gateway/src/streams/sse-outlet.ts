import type { ServerResponse } from 'node:http'
import { eventText, type Outlet, type StreamedEvent } from './outlet.ts'

/** Comments keep a stream alive whose reader waits; a reader that does not even take those is cut off. */
const mostBytesBuffered = 4 * 1024 * 1024
/** how long a reader may take to hear of the end, ms */
const endingMs = 10_000

export interface SseOptions {
  readonly heartbeatMs: number
  /** the event as it is sent; its id is what a reader names as `Last-Event-ID` to go on after it. Absent: id is its version */
  frame?(event: StreamedEvent): string
  /** sent in place of a heartbeat when there is something to say */
  beat?(): string | undefined
  /** at each heartbeat: ends the stream once its reader may not have it any more */
  askAgain(): void
  onError(error: unknown): void
}

/**
 * Server-sent events. `Last-Event-ID` resumes after the last one received; live output has no id. What still comes after the end is
 * dropped: the end may be that of the caller's rights, of which the stream knows nothing.
 */
export class SseOutlet implements Outlet {
  readonly #out: ServerResponse
  readonly #options: SseOptions
  readonly #heartbeat: NodeJS.Timeout

  constructor(out: ServerResponse, options: SseOptions) {
    this.#out = out
    this.#options = options
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs)
    out.once('close', () => clearInterval(this.#heartbeat))
  }

  get waitingBytes(): number {
    return this.#out.writableLength
  }

  event(streamed: StreamedEvent): boolean {
    return this.#write(this.#options.frame?.(streamed) ?? frameOf(streamed))
  }

  delta(_execution: string, delta: Parameters<Outlet['delta']>[1]): void {
    this.#write(`event: delta\ndata: ${JSON.stringify(delta)}\n\n`)
  }

  drained(timeoutMs: number): Promise<boolean> {
    const out = this.#out
    return new Promise((resolve) => {
      const settle = (isDrained: boolean) => {
        clearTimeout(timer)
        out.off('drain', drained)
        out.off('close', drained)
        resolve(isDrained)
      }
      const drained = () => settle(true)
      const timer = setTimeout(() => settle(false), timeoutMs)
      out.on('drain', drained)
      out.on('close', drained)
    })
  }

  end(): void {
    clearInterval(this.#heartbeat)
    const out = this.#out
    if (out.writableEnded || out.destroyed) return
    out.end()
    // whoever takes nothing does not take the end either
    const timer = setTimeout(() => this.cut(), endingMs)
    out.once('close', () => clearTimeout(timer))
  }

  fail(error: unknown): void {
    this.#options.onError(error)
    this.end()
  }

  #beat(): void {
    if (this.waitingBytes > mostBytesBuffered) {
      this.cut()
      return
    }
    this.#write(this.#options.beat?.() ?? ': heartbeat\n\n')
    this.#options.askAgain()
  }

  /** @returns false: the reader is behind */
  #write(text: string): boolean {
    const out = this.#out
    // an error that nobody listens to would end the process
    return out.writableEnded || out.destroyed || out.write(text)
  }

  cut(): void {
    clearInterval(this.#heartbeat)
    this.#out.destroy()
  }
}

const frameOf = ({ event }: StreamedEvent): string =>
  `id: ${event.version}\nevent: ${event.type}\ndata: ${eventText(event)}\n\n`
