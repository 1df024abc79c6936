import { type EngineMessage, engineMessage, journalEntry, OmiumError, type WorkerMessage } from '@omium/schemas'

/** A frame is closed when its JSON gets longer than this, characters. */
const frameLimit = 1024 * 1024

/** Gathers the messages of one turn of the event loop and writes them as few frames. */
export class FrameWriter {
  private readonly write: (frame: string) => void
  private waiting: WorkerMessage[] = []

  constructor(write: (frame: string) => void) {
    this.write = write
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
      if (frame.length > 1) frame += ','
      frame += JSON.stringify(message)
    }
    this.write(`${frame}]`)
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
