import type { ServerResponse } from 'node:http'
import { eventText, type Outlet, type StreamedEvent } from './outlet.ts'

/** Comments keep a stream alive whose reader waits; a reader that does not even take those is cut off. */
const mostBytesBuffered = 4 * 1024 * 1024

export interface SseOptions {
  readonly heartbeatMs: number
  /** the event as it is sent; its id is what a reader names as `Last-Event-ID` to go on after it. Absent: id is its version */
  frame?(event: StreamedEvent): string
  /** sent in place of a heartbeat when there is something to say */
  beat?(): string | undefined
  /** false once the caller may no longer read */
  isStillAllowed(): Promise<boolean>
  onError(error: unknown): void
}

/** Server-sent events. `Last-Event-ID` resumes after the last one received; live output has no id. */
export class SseOutlet implements Outlet {
  readonly #out: ServerResponse
  readonly #options: SseOptions
  readonly #heartbeat: NodeJS.Timeout

  constructor(out: ServerResponse, options: SseOptions) {
    this.#out = out
    this.#options = options
    this.#heartbeat = setInterval(() => void this.#beat(), options.heartbeatMs)
    out.once('close', () => clearInterval(this.#heartbeat))
  }

  get waitingBytes(): number {
    return this.#out.writableLength
  }

  event(streamed: StreamedEvent): boolean {
    return this.#out.write(this.#options.frame?.(streamed) ?? frameOf(streamed))
  }

  delta(_execution: string, delta: Parameters<Outlet['delta']>[1]): void {
    this.#out.write(`event: delta\ndata: ${JSON.stringify(delta)}\n\n`)
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
    this.#out.end()
  }

  fail(error: unknown): void {
    this.#options.onError(error)
    this.end()
  }

  async #beat(): Promise<void> {
    if (this.waitingBytes > mostBytesBuffered) return this.cut()
    this.#out.write(this.#options.beat?.() ?? ': heartbeat\n\n')
    if (!(await this.#options.isStillAllowed().catch(() => true))) this.end()
  }

  cut(): void {
    clearInterval(this.#heartbeat)
    this.#out.destroy()
  }
}

const frameOf = ({ event }: StreamedEvent): string =>
  `id: ${event.version}\nevent: ${event.type}\ndata: ${eventText(event)}\n\n`
