import type { ServerResponse } from 'node:http'
import { eventText, type Outlet } from './outlet.ts'

/** Comments keep a stream alive whose reader waits; a reader that does not even take those is cut off. */
const mostBytesBuffered = 4 * 1024 * 1024

export interface SseOptions {
  readonly heartbeatMs: number
  /** throws once the caller may no longer read */
  askAgain(): Promise<unknown>
  onError(error: unknown): void
}

/** Server-sent events. Ids are versions, so `Last-Event-ID` resumes after the last one received; live output has none. */
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

  event({ event }: Parameters<Outlet['event']>[0]): boolean {
    return this.#out.write(`id: ${event.version}\nevent: ${event.type}\ndata: ${eventText(event)}\n\n`)
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
    this.#out.write(': heartbeat\n\n')
    await this.askAgain()
  }

  /** Ends the stream if its reader may not have it any more; who connects again is told why. */
  async askAgain(): Promise<void> {
    await this.#options.askAgain().catch(() => this.end())
  }

  cut(): void {
    clearInterval(this.#heartbeat)
    this.#out.destroy()
  }
}
