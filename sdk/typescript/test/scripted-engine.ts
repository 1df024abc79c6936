import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { EngineMessage, JsonValue, WorkerMessage } from '@omium/schemas'
import { type WebSocket, WebSocketServer } from 'ws'
import type { AnyAgent } from '../src/context.ts'
import { type ExecutionHost, type Outcome, TestExecution } from '../src/testing/execution.ts'

interface Session {
  socket: WebSocket
  outbox: EngineMessage[]
  draining: boolean
  executions: Set<TestExecution>
}

export interface ScriptedEngineOptions {
  heartbeatIntervalMs?: number
  leaseMs?: number
  /** looks at every message before it is handled; true swallows it */
  tap?: (message: WorkerMessage, session: Session) => boolean | undefined
}

/**
 * A scripted engine and gateway for specs of the worker: the real WebSocket protocol over TCP, executions kept in memory by
 * the test harness's rules. It has no log and no durability; the real ones are the execution engine and the gateway.
 */
export class ScriptedEngine implements ExecutionHost {
  readonly clock = {
    now: () => Date.now(),
    at: (timeMs: number, callback: () => void) => {
      const timer = setTimeout(callback, Math.max(0, timeMs - Date.now()))
      return () => clearTimeout(timer)
    },
  }
  readonly executions = new Map<string, TestExecution>()
  readonly messages: WorkerMessage[] = []
  heartbeats = 0
  connections = 0
  private readonly options: ScriptedEngineOptions
  private readonly http: Server
  private readonly sockets: WebSocketServer
  private readonly sessions = new Set<Session>()
  private readonly homes = new Map<TestExecution, Session | 'suspended'>()
  private queue: TestExecution[] = []

  constructor(options: ScriptedEngineOptions = {}) {
    this.options = options
    this.http = createServer((request, response) => {
      if (request.headers.authorization !== 'Bearer om_test_key') {
        response.writeHead(401, { 'content-type': 'application/problem+json' })
        const problem = { type: 'x', title: 'x', status: 401, detail: 'no', code: 'unauthenticated', retryable: false }
        response.end(JSON.stringify(problem))
        return
      }
      response.writeHead(200, { 'content-type': 'application/json' })
      const expiresAt = new Date(Date.now() + 60_000).toISOString()
      response.end(JSON.stringify({ token: 'token', expiresAt, endpoints: [this.url.replace('http', 'ws')] }))
    })
    this.sockets = new WebSocketServer({ server: this.http, handleProtocols: () => 'omium.worker.v1' })
    this.sockets.on('connection', (socket) => this.connected(socket))
  }

  static async listen(options?: ScriptedEngineOptions): Promise<ScriptedEngine> {
    const engine = new ScriptedEngine(options)
    await new Promise<void>((resolve) => engine.http.listen(0, '127.0.0.1', resolve))
    return engine
  }

  get url(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`
  }

  /** Requests a run; resolves when it has ended. */
  run(id: string, agent: AnyAgent, input: JsonValue): Promise<Outcome> {
    return new Promise((resolve) => {
      const execution = new TestExecution(this, id, agent, input, [], resolve)
      this.executions.set(id, execution)
      this.dispatch(execution)
    })
  }

  /** Cuts every connection, as a network does: the attempts on them are lost. */
  cut(): void {
    for (const session of this.sessions) session.socket.terminate()
  }

  async close(): Promise<void> {
    this.cut()
    this.sockets.close()
    this.http.closeAllConnections()
    await new Promise((resolve) => this.http.close(resolve))
  }

  // ---- ExecutionHost

  startAttempt(execution: TestExecution): void {
    const session = [...this.sessions].find((candidate) => !candidate.draining)
    if (!session) throw new Error('no session to start an attempt on')
    this.homes.set(execution, session)
    session.executions.add(execution)
  }

  stopAttempt(execution: TestExecution): void {
    const home = this.homes.get(execution)
    if (home !== 'suspended') home?.executions.delete(execution)
    this.homes.delete(execution)
  }

  deliver(message: EngineMessage): void {
    if (!('executionId' in message)) return
    const execution = this.executions.get(message.executionId)
    const home = execution && this.homes.get(execution)
    if (home === 'suspended' && execution) this.dispatch(execution)
    else if (home) this.send(home as Session, message)
  }

  budgetOf(): undefined {
    return undefined
  }

  startChild(
    message: Extract<WorkerMessage, { type: 'child_start' }>,
    _given: object,
    done: (outcome: Outcome, spentMicroCredits: number) => void,
  ): void {
    const parent = this.executions.get(message.executionId)
    if (parent)
      void this.run(message.childId, { ...parent.agent, id: message.agentId } as AnyAgent, message.input).then(
        (outcome) => done(outcome, 0),
      )
  }

  approve(): undefined {
    return undefined
  }

  crashesAfter(): boolean {
    return false
  }

  private dispatch(execution: TestExecution): void {
    if ([...this.sessions].some((session) => !session.draining)) execution.begin()
    else this.queue.push(execution)
  }

  private send(session: Session, message: EngineMessage): void {
    session.outbox.push(message)
    if (session.outbox.length > 1) return
    setImmediate(() => {
      const frame = JSON.stringify(session.outbox)
      session.outbox = []
      session.socket.send(frame)
    })
  }

  private connected(socket: WebSocket): void {
    this.connections += 1
    const session: Session = { socket, outbox: [], draining: false, executions: new Set() }
    socket.on('message', (data) => {
      for (const message of JSON.parse(data.toString()) as WorkerMessage[]) this.handle(session, message)
    })
    socket.on('close', () => {
      this.sessions.delete(session)
      for (const execution of [...session.executions]) {
        session.executions.delete(execution)
        if ([...this.sessions].some((other) => !other.draining)) execution.crash()
        else this.queue.push(execution)
      }
    })
  }

  private handle(session: Session, message: WorkerMessage): void {
    if (message.type === 'heartbeat') this.heartbeats += 1
    else this.messages.push(message)
    if (this.options.tap?.(message, session)) return
    if (message.type === 'hello') {
      // no process stands still for so long, however busy its machine is
      const { heartbeatIntervalMs = 250, leaseMs = 60_000 } = this.options
      this.send(session, { type: 'welcome', protocol: 1, sessionId: 'ses', heartbeatIntervalMs, leaseMs })
      this.sessions.add(session)
      const queue = this.queue
      this.queue = []
      for (const execution of queue) execution.attempt > 0 ? execution.crash() : execution.begin()
    } else if (message.type === 'drain') {
      session.draining = true
      this.reportIfDrained(session)
    } else if (message.type === 'suspend') {
      const execution = this.executions.get(message.executionId)
      const { executionId, attempt, seq } = message
      if (!execution || execution.attempt !== attempt) return
      this.send(session, { type: 'ack', executionId, attempt, seq })
      session.executions.delete(execution)
      this.homes.set(execution, 'suspended')
      if (message.reason === 'drained') this.dispatch(execution)
      this.reportIfDrained(session)
    } else if ('executionId' in message) {
      const execution = this.executions.get(message.executionId)
      execution?.receive(message)
      if (message.type === 'complete' || message.type === 'fail') {
        const { executionId, attempt, seq } = message
        this.send(session, { type: 'ack', executionId, attempt, seq })
        this.reportIfDrained(session)
      }
    }
  }

  private reportIfDrained(session: Session): void {
    if (session.draining && session.executions.size === 0) this.send(session, { type: 'drained' })
  }
}
