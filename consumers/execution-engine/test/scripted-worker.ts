import type { EngineMessage, JournalEntry, JsonValue } from '@omium/schemas'
import { workerProtocolVersion, workerSubprotocol } from '@omium/schemas'
import { mintWorkerToken } from '@omium/worker-tokens'
import { WebSocket } from 'ws'

/**
 * A worker that follows a script, over a real WebSocket, for specs: it speaks the protocol by hand, so that specs can also
 * speak it wrongly. An agent's script is an async function over `call`, which answers recorded paths from the journal.
 */
export const tokenSecret = 'a secret of at least thirty-two characters'
export const tenant = 'ten_spec'

type Outgoing = Record<string, unknown> & { type: string }
type Answer = Extract<EngineMessage, { type: 'ack' | 'nack' }>

export interface ScriptContext {
  readonly executionId: string
  readonly attempt: number
  readonly input: JsonValue
  /** sends a request about a path, unless it is recorded; resolves with what user code gets */
  call(request: Outgoing): Promise<JournalEntry | undefined>
}
export type Script = (context: ScriptContext) => Promise<JsonValue>

interface Run {
  readonly attempt: number
  readonly input: JsonValue
  readonly journal: Map<string, JournalEntry>
  readonly answers: Map<number, (answer: Answer) => void>
  readonly resolves: Map<string, (entry: JournalEntry) => void>
  seq: number
}

export class ScriptedWorker {
  readonly received: EngineMessage[] = []
  /** `<execution>@<attempt> <path>` of everything that really ran here */
  readonly ran: string[] = []
  readonly closed: Promise<{ code: number; reason: string }>
  readonly #socket: WebSocket
  readonly #scripts: Record<string, Script>
  readonly #runs = new Map<string, Run>()
  #heartbeats: NodeJS.Timeout | undefined
  #waiters: (() => void)[] = []

  constructor(url: string, scripts: Record<string, Script>, hello: Record<string, unknown> = {}) {
    this.#scripts = scripts
    this.#socket = new WebSocket(url, workerSubprotocol)
    this.closed = new Promise((resolve) => {
      this.#socket.on('close', (code, reason) => {
        clearInterval(this.#heartbeats)
        resolve({ code, reason: reason.toString() })
      })
    })
    this.#socket.on('error', () => {})
    this.#socket.on('open', () => {
      this.send({
        type: 'hello',
        protocol: workerProtocolVersion,
        token: mintWorkerToken(tokenSecret, { tenant, keyId: 'key_spec', expiresAt: Date.now() + 60_000 }),
        workerId: `worker-${Math.random().toString(36).slice(2)}`,
        runtime: 'spec',
        agents: Object.keys(scripts).map((agentId) => ({ agentId })),
        slots: 100,
        ...hello,
      })
    })
    this.#socket.on('message', (data) => {
      for (const message of JSON.parse(data.toString()) as EngineMessage[]) {
        this.received.push(message)
        this.#handle(message)
      }
      for (const look of this.#waiters.splice(0)) look()
    })
  }

  send(...messages: Outgoing[]): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(messages))
  }

  sendText(text: string): void {
    this.#socket.send(text)
  }

  /** the connection goes without a goodbye */
  cut(): void {
    this.#socket.terminate()
  }

  /** keeps the connection and says nothing more */
  fallSilent(): void {
    clearInterval(this.#heartbeats)
  }

  /** the first message that fits, of those that came or will come */
  async waitFor<T extends EngineMessage['type']>(
    type: T,
    fits: (message: Extract<EngineMessage, { type: T }>) => boolean = () => true,
    timeoutMs = 30_000,
  ): Promise<Extract<EngineMessage, { type: T }>> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      for (const message of this.received) {
        if (message.type === type && fits(message as Extract<EngineMessage, { type: T }>)) {
          return message as Extract<EngineMessage, { type: T }>
        }
      }
      const left = deadline - performance.now()
      if (left <= 0) throw new Error(`no ${type} came; there were ${this.received.map((m) => m.type).join(', ')}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#waiters.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  #handle(message: EngineMessage): void {
    if (message.type === 'welcome') {
      this.#heartbeats = setInterval(() => this.send({ type: 'heartbeat' }), message.heartbeatIntervalMs)
      return
    }
    if (message.type === 'assign') {
      const { attempt, input } = message
      this.#runs.set(message.executionId, {
        attempt,
        input,
        journal: new Map(),
        answers: new Map(),
        resolves: new Map(),
        seq: 0,
      })
      return
    }
    if (!('executionId' in message)) return
    const run = this.#runs.get(message.executionId)
    if (!run || run.attempt !== message.attempt) return
    if (message.type === 'journal') {
      for (const entry of message.entries) run.journal.set(entry.path, entry)
      if (message.last) void this.#execute(message.executionId, run)
    } else if (message.type === 'resolve') {
      run.journal.set(message.entry.path, message.entry)
      run.resolves.get(message.entry.path)?.(message.entry)
    } else if (message.type === 'ack' || message.type === 'nack') run.answers.get(message.seq)?.(message)
    else if (message.type === 'stop') this.#runs.delete(message.executionId)
  }

  async #execute(executionId: string, run: Run): Promise<void> {
    const assigned = this.received.find(
      (m) => m.type === 'assign' && m.executionId === executionId && m.attempt === run.attempt,
    )
    const script = assigned?.type === 'assign' ? this.#scripts[assigned.agentId] : undefined
    if (!script) return
    const { attempt, input } = run
    const ask = (request: Outgoing): Promise<Answer> =>
      new Promise((resolve) => {
        run.answers.set(++run.seq, resolve)
        this.send({ executionId, attempt, seq: run.seq, ...request })
      })
    const call = async (request: Outgoing): Promise<JournalEntry | undefined> => {
      const path = String(request['path'])
      const known = run.journal.get(path)
      if (known && known.status !== 'pending') return known
      if (!known) {
        this.ran.push(`${executionId}@${attempt} ${path}`)
        const answer = await ask(request)
        if (answer.type === 'nack') throw Object.assign(new Error(answer.error.detail), { code: answer.error.code })
        if (answer.entry || request.type.startsWith('step')) return answer.entry
      }
      const resolved = run.journal.get(path)
      if (resolved && resolved.status !== 'pending') return resolved
      return new Promise((resolve) => run.resolves.set(path, resolve))
    }
    try {
      const output = await script({ executionId, attempt, input, call })
      await ask({ type: 'complete', output })
    } catch (error) {
      if ((error as { code?: string }).code === 'attempt_fenced') return
      await ask({ type: 'fail', error: { code: 'agent_threw', detail: String(error), retryable: false } })
    }
  }
}

export const stepRequest = (path: string, output: JsonValue): Outgoing => ({
  type: 'step_completed',
  path,
  name: path,
  kind: 'step',
  stepAttempt: 1,
  requestHash: `hash-of-${path}`,
  output,
  startedAt: Date.now(),
  durationMs: 0,
})

/** `count` steps one after the other, each yielding its number; `before` runs ahead of each step */
export const countingScript =
  (count: number, before: (context: ScriptContext, step: number) => Promise<void> | void = () => {}): Script =>
  async (context) => {
    for (let i = 1; i <= count; i++) {
      await before(context, i)
      await context.call(stepRequest(`s#${i}`, i))
    }
    return count
  }
