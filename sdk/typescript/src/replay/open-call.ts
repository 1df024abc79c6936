import type { JournalEntry, JsonValue, WorkerMessage } from '@omium/schemas'
import { Call } from './call.ts'
import type { Ack, CallHost } from './port.ts'

export type OpenKind = 'timer' | 'wait' | 'approval' | 'child'
type Opening = Extract<WorkerMessage, { type: 'timer_start' | 'wait_start' | 'approval_request' | 'child_start' }>
type Omitted = 'executionId' | 'attempt' | 'seq' | 'path' | 'requestHash'
/** The part of an opening message that differs from call to call. */
export type OpeningBody = Opening extends infer M ? (M extends Opening ? Omit<M, Omitted> : never) : never

/** A call that the platform settles: a timer, a wait for a signal, an approval, a child execution. */
export class OpenCall extends Call {
  private readonly body: OpeningBody

  constructor(
    run: CallHost,
    path: string,
    kind: OpenKind,
    requestHash: string,
    input: JsonValue | undefined,
    body: OpeningBody,
  ) {
    super(run, path, kind, requestHash, input)
    this.body = body
  }

  start(): void {
    const { run, path, requestHash } = this
    const ids = { executionId: run.executionId, attempt: run.attempt, seq: run.nextSeq(this), path, requestHash }
    run.port.send({ ...this.body, ...ids } as Opening)
  }

  reopen(_entry: JournalEntry): void {
    // nothing here runs in the worker: whatever the engine is about to do, it resolves
    this.run.opened(this)
  }

  acked(ack: Ack): void {
    if (ack.entry) this.entered(ack.entry)
    else this.run.opened(this)
  }
}
