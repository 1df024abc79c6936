import { randomBytes, randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { createIdSource, type Failure, OmiumError, workerConnectReply, workerProtocolVersion } from '@omium/schemas'
import { type Logger, pino } from 'pino'
import { type ConnectionOptions, Http, type RequestOptions } from '../client/http.ts'
import type { AnyAgent } from '../context.ts'
import type { Complete, LlmSettings, PriceTable } from '../llm/model.ts'
import { openAiCompatible } from '../llm/openai.ts'
import { defaultPrices } from '../llm/prices.ts'
import type { RunPort } from '../replay/port.ts'
import { Run } from '../replay/run.ts'
import { StepWatch } from '../replay/step-watch.ts'
import { Turns } from '../replay/turns.ts'
import { EngineConnection } from './engine-connection.ts'
import { Residency } from './residency.ts'
import { watchForStalls } from './stall-watch.ts'
import { containStrayRejections } from './stray-rejections.ts'

export interface WorkerLlmOptions {
  /** `OPENAI_BASE_URL`, else https://api.openai.com/v1 */
  baseUrl?: string
  /** `OPENAI_API_KEY` unless given */
  apiKey?: string
  /** replaces the OpenAI-compatible client */
  complete?: Complete
  prices?: PriceTable
}

export interface WorkerOptions extends Omit<ConnectionOptions, keyof RequestOptions> {
  agents: readonly AnyAgent[]
  /** runs of one engine process that may execute user code at the same time; 100 unless given */
  slots?: number
  llm?: WorkerLlmOptions
  logger?: Logger
  /** how long a run that waits stays in memory, ms */
  residentMs?: number
  /** runs that may wait in memory at once */
  maxResident?: number
  /** how long running steps may take to end when the worker drains, ms */
  drainTimeoutMs?: number
  /**
   * the process ends when agent code blocks its event loop for longer, ms; 30 s unless given, `false` for never. Its runs have
   * gone to other workers by then
   */
  stallTimeoutMs?: number | false
  /** drain and stop on SIGTERM and SIGINT, then end as the signal would have; true unless given */
  signals?: boolean
}

export interface Worker {
  readonly id: string
  /** runs that this process holds now */
  readonly runs: number
  /** Resolves when the first engine has welcomed the worker. @throws OmiumError when it is refused for good */
  start(): Promise<void>
  /** Takes no new runs, records what runs, and hands every run on. */
  drain(): Promise<void>
  /** Closes all connections; runs that are left are taken over by other workers. */
  stop(): Promise<void>
}

const refreshEveryMs = 3000
const defaultStallTimeoutMs = 30_000
const reconnectBaseMs = 50
const reconnectMaxMs = 2000
const newId = createIdSource(Date.now, randomBytes)

const llmSettings = (options: WorkerLlmOptions = {}): LlmSettings => ({
  complete:
    options.complete ??
    openAiCompatible({
      baseUrl: options.baseUrl ?? process.env['OPENAI_BASE_URL'] ?? 'https://api.openai.com/v1',
      apiKey: options.apiKey ?? process.env['OPENAI_API_KEY'],
    }),
  prices: options.prices ?? defaultPrices,
})

/** A worker: connects out to every engine and runs the agents it is given. @throws OmiumError `settings_invalid` */
export const worker = (options: WorkerOptions): Worker => new WorkerProcess(options)

class WorkerProcess implements Worker {
  readonly id = `${newId('worker')}@${hostname()}`.slice(0, 200)
  private readonly http: Http
  private readonly agents: Map<string, AnyAgent>
  private readonly slots: number
  private readonly log: Logger
  private readonly llm: LlmSettings
  private readonly turns = new Turns()
  private readonly watch = new StepWatch(() => performance.now())
  private readonly residency: Residency
  private readonly drainTimeoutMs: number
  private readonly handlesSignals: boolean
  private readonly stallTimeoutMs: number | false
  private readonly connections = new Map<string, EngineConnection>()
  private readonly failures = new Map<string, number>()
  private readonly ready = Promise.withResolvers<void>()
  private token = ''
  private endpoints: readonly string[] = []
  private refreshTimer: NodeJS.Timeout | undefined
  private refreshing: Promise<void> | undefined
  private state: 'new' | 'running' | 'draining' | 'stopped' = 'new'
  private endContainment: (() => void) | undefined
  private endStallWatch: (() => void) | undefined

  constructor(options: WorkerOptions) {
    this.http = new Http(options)
    this.agents = new Map(options.agents.map((agent) => [agent.id, agent]))
    if (this.agents.size !== options.agents.length)
      throw new OmiumError('settings_invalid', 'two agents of the worker have the same id')
    this.slots = options.slots ?? 100
    this.log = options.logger ?? pino({ name: 'omium-worker', level: process.env['OMIUM_LOG_LEVEL'] ?? 'info' })
    this.llm = llmSettings(options.llm)
    this.residency = new Residency(options.residentMs ?? 10_000, options.maxResident ?? 10_000)
    this.drainTimeoutMs = options.drainTimeoutMs ?? 30_000
    this.stallTimeoutMs = options.stallTimeoutMs ?? defaultStallTimeoutMs
    this.handlesSignals = options.signals ?? true
    // a failed start is reported by start(); nobody else has to listen
    this.ready.promise.catch(() => {})
  }

  get runs(): number {
    let count = 0
    for (const connection of this.connections.values()) count += connection.runs.size
    return count
  }

  async start(): Promise<void> {
    if (this.state !== 'new') throw new OmiumError('settings_invalid', 'a worker starts once')
    this.state = 'running'
    this.endContainment = containStrayRejections(this)
    if (this.stallTimeoutMs !== false) this.endStallWatch = watchForStalls(this.stallTimeoutMs)
    if (this.handlesSignals) for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, this.onSignal)
    this.refreshTimer = setInterval(() => void this.refresh(), refreshEveryMs)
    void this.refresh()
    try {
      await this.ready.promise
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async drain(): Promise<void> {
    if (this.state !== 'running') return
    this.state = 'draining'
    this.log.info({ runs: this.runs }, 'draining')
    for (const connection of this.connections.values()) {
      connection.send({ type: 'drain' })
      for (const run of connection.runs.values()) run.drain()
    }
    const deadline = performance.now() + this.drainTimeoutMs
    const isDone = () =>
      [...this.connections.values()].every((connection) => connection.runs.size === 0 && connection.drained)
    while (!isDone() && performance.now() < deadline) await delay(10)
    for (const connection of this.connections.values())
      for (const run of [...connection.runs.values()])
        run.abandon(`the worker drained for ${this.drainTimeoutMs} ms and a step was still running`)
  }

  async stop(): Promise<void> {
    if (this.state === 'stopped') return
    this.state = 'stopped'
    clearInterval(this.refreshTimer)
    this.residency.close()
    this.endContainment?.()
    this.endStallWatch?.()
    process.off('SIGTERM', this.onSignal)
    process.off('SIGINT', this.onSignal)
    this.ready.reject(new OmiumError('unavailable', 'the worker was stopped before an engine welcomed it'))
    await this.refreshing
    for (const connection of this.connections.values()) connection.close()
    const deadline = performance.now() + 1000
    while (this.connections.size > 0 && performance.now() < deadline) await delay(5)
    for (const connection of this.connections.values()) connection.terminate()
  }

  private readonly onSignal = (signal: NodeJS.Signals): void => {
    this.log.info({ signal }, 'ending on a signal')
    process.off('SIGTERM', this.onSignal)
    process.off('SIGINT', this.onSignal)
    void this.drain()
      .then(() => this.stop())
      .finally(() => process.kill(process.pid, signal))
  }

  /** Asks the gateway where the engines are and connects to the new ones. One at a time. */
  private refresh(): Promise<void> {
    this.refreshing ??= this.discover().finally(() => {
      this.refreshing = undefined
    })
    return this.refreshing
  }

  private async discover(): Promise<void> {
    try {
      const reply = await this.http.json('POST', '/v1/workers/connect', { body: {}, timeoutMs: 5000 })
      const { token, endpoints } = workerConnectReply.parse(reply)
      this.token = token
      this.endpoints = endpoints
    } catch (error) {
      if (error instanceof OmiumError && ['unauthenticated', 'forbidden'].includes(error.code)) this.ready.reject(error)
      this.log.warn({ err: error }, 'the gateway does not say where the engines are')
    }
    if (this.state !== 'running') return
    for (const endpoint of this.endpoints) if (!this.connections.has(endpoint)) this.connect(endpoint)
  }

  private connect(endpoint: string): void {
    const hello = {
      type: 'hello' as const,
      protocol: workerProtocolVersion,
      token: this.token,
      workerId: this.id,
      runtime: `node ${process.versions.node}`,
      agents: [...this.agents.values()].map((agent) => agent.definition),
      slots: this.slots,
    }
    const connection = new EngineConnection(
      endpoint,
      hello,
      {
        welcomed: () => {
          this.failures.delete(endpoint)
          this.log.info({ endpoint }, 'connected to an engine')
          this.ready.resolve()
        },
        assigned: (assign, from) => {
          const agent = this.agents.get(assign.agentId)
          return agent && new Run(assign, agent, this.portOf(from))
        },
        refused: (error) => this.refused(endpoint, error),
        closed: (closed) => this.closed(closed),
      },
      this.log,
    )
    this.connections.set(endpoint, connection)
  }

  private refused(endpoint: string, error: Failure): void {
    this.log.error({ endpoint, code: error.code }, `an engine refused this worker: ${error.detail}`)
    // a token that ran out is renewed by the next refresh; a protocol that differs stays so
    if (error.code === 'protocol_unsupported') this.ready.reject(OmiumError.fromFailure(error))
  }

  private closed(connection: EngineConnection): void {
    const { endpoint } = connection
    if (this.connections.get(endpoint) === connection) this.connections.delete(endpoint)
    if (this.state !== 'running') return
    const failures = (this.failures.get(endpoint) ?? 0) + 1
    this.failures.set(endpoint, failures)
    const backoff = Math.min(reconnectMaxMs, reconnectBaseMs * 2 ** Math.min(failures, 10))
    setTimeout(() => void this.refresh(), backoff * (0.5 + Math.random() / 2)).unref()
  }

  private portOf(connection: EngineConnection): RunPort {
    const { log, llm, watch } = this
    return {
      send: (message) => connection.send(message),
      schedule: (run) => this.turns.schedule(run),
      finished: (run) => {
        if (connection.runs.get(run.executionId) === run) connection.runs.delete(run.executionId)
        this.residency.remove(run)
      },
      waiting: (run) => this.residency.add(run),
      now: Date.now,
      after: (ms, callback) => {
        const timer = setTimeout(callback, ms)
        return () => clearTimeout(timer)
      },
      uuid: randomUUID,
      random: Math.random,
      watch,
      log,
      llm,
    }
  }
}
