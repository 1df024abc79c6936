import {
  type EngineMessage,
  engineMessage,
  type Failure,
  journalEntry,
  OmiumError,
  type WorkerMessage,
} from '@omium/schemas'

/** A frame is closed when its JSON gets longer than this, characters. */
const frameLimit = 1024 * 1024
/** No message with two values of the largest size is longer, bytes; an engine hangs up on frames of 64 MiB. */
const messageLimitBytes = 24 * 1024 * 1024

/**
 * Gathers the messages of one turn of the event loop and writes them as few frames. A message that no engine would take is
 * refused here: sent, it would end the connection, and with it all runs of the worker.
 */
export class FrameWriter {
  private readonly write: (frame: string) => void
  private readonly refused: (message: WorkerMessage, error: Failure) => void
  private waiting: WorkerMessage[] = []

  constructor(write: (frame: string) => void, refused: (message: WorkerMessage, error: Failure) => void) {
    this.write = write
    this.refused = refused
  }

  push(message: WorkerMessage): void {
    this.waiting.push(message)
    if (this.waiting.length === 1) setImmediate(() => this.flush())
  }

  flush(): void {
    const messages = this.waiting
    if (messages.length === 0) return
    this.waiting = []
    let frame = '['
    for (const message of messages) {
      if (frame.length > frameLimit) {
        this.write(`${frame}]`)
        frame = '['
      }
      const text = this.textOf(message)
      if (text === undefined) continue
      if (frame.length > 1) frame += ','
      frame += text
    }
    if (frame.length > 1) this.write(`${frame}]`)
  }

  private textOf(message: WorkerMessage): string | undefined {
    let problem: string
    try {
      const text = JSON.stringify(message)
      // a character takes at most three bytes
      if (text.length * 3 <= messageLimitBytes || Buffer.byteLength(text) <= messageLimitBytes) return text
      problem = `it has more than ${messageLimitBytes} bytes`
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error)
    }
    const detail = `a ${message.type} is too large to be sent: ${problem}`
    this.refused(message, new OmiumError('payload_too_large', detail).toFailure())
    return undefined
  }
}

/** Acknowledgements are most of what arrives; their shape is checked by hand, everything else by its schema. */
const isPlainAck = (value: Record<string, unknown>): boolean =>
  value['type'] === 'ack' &&
  typeof value['executionId'] === 'string' &&
  typeof value['attempt'] === 'number' &&
  typeof value['seq'] === 'number' &&
  (value['idempotencyKey'] === undefined || typeof value['idempotencyKey'] === 'string') &&
  (value['entry'] === undefined || journalEntry.safeParse(value['entry']).success)

/** The messages of a frame. @throws OmiumError `protocol_violation` when it is not what the protocol allows */
export const parseFrame = (text: string): EngineMessage[] => {
  let frame: unknown
  try {
    frame = JSON.parse(text)
  } catch (cause) {
    throw new OmiumError('protocol_violation', 'the engine sent a frame that is not JSON', { cause })
  }
  if (!Array.isArray(frame)) throw new OmiumError('protocol_violation', 'the engine sent a frame that is not an array')
  return frame.map((value: unknown) => {
    if (typeof value === 'object' && value !== null && isPlainAck(value as Record<string, unknown>))
      return value as EngineMessage
    const parsed = engineMessage.safeParse(value)
    if (parsed.success) return parsed.data
    const type = (value as { type?: unknown } | null)?.type
    throw new OmiumError(
      'protocol_violation',
      `the engine sent a message of type ${JSON.stringify(type)} that does not fit`,
    )
  })
}
