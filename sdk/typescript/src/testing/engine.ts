import { type EngineMessage, hashJson, type JsonValue, OmiumError, type WorkerMessage } from '@omium/schemas'
import { pino } from 'pino'
import type { AnyAgent } from '../context.ts'
import type { LlmSettings } from '../llm/model.ts'
import { toPlainJson } from '../replay/plain-json.ts'
import type { RunPort } from '../replay/port.ts'
import { Run, type RunMessage } from '../replay/run.ts'
import { StepWatch } from '../replay/step-watch.ts'
import { Turns } from '../replay/turns.ts'
import type { StepInfo } from '../step.ts'
import { draws, type ExecutionHost, type Given, type Outcome, TestExecution } from './execution.ts'
import { VirtualClock } from './virtual-clock.ts'

export type Substitute = JsonValue | ((...args: never[]) => unknown)

export interface TestEngineOptions {
  startTimeMs: number
  mocks: Readonly<Record<string, Substitute>>
  agents: readonly AnyAgent[]
  inlineChildren: boolean
  approve: ExecutionHost['approve']
  crashesAfter: ExecutionHost['crashesAfter']
  llm: LlmSettings
  /** real time until a run that neither ends nor waits is given up, ms */
  limitMs: number
  /** nothing is made that is not recorded */
  hermetic?: boolean
}

/** Runs executions of the harness in this process: messages pass in order, time jumps when nothing else can happen. */
export class TestEngine implements ExecutionHost {
  readonly clock: VirtualClock
  private readonly options: TestEngineOptions
  private readonly executions = new Map<string, TestExecution>()
  private readonly runs = new Map<string, Run>()
  private readonly agents = new Map<string, AnyAgent>()
  private readonly turns = new Turns()
  private readonly watch = new StepWatch(() => Date.now())
  private readonly log = pino({ level: 'silent' })
  private inbox: (() => void)[] = []
  private ownTimers = new Map<Run, number>()
  private draws = 0

  constructor(options: TestEngineOptions) {
    this.options = options
    this.clock = new VirtualClock(options.startTimeMs)
    for (const agent of options.agents) this.agents.set(agent.id, agent)
  }

  /** Runs one execution (and its children) until it ends or only someone outside could let it go on. */
  async execute(
    id: string,
    agent: AnyAgent,
    input: JsonValue,
    signals: readonly (readonly [string, JsonValue])[],
    given: Given = {},
  ): Promise<TestExecution> {
    this.agents.set(agent.id, agent)
    const execution = this.add(id, agent, input, signals, () => {}, given)
    const giveUpAt = performance.now() + this.options.limitMs
    while (!execution.outcome) {
      await this.pass()
      if (performance.now() > giveUpAt)
        throw new OmiumError(
          'timeout',
          `the run neither ended nor waited within ${this.options.limitMs} ms of real time`,
        )
    }
    return execution
  }

  crashesAfter(path: string): boolean {
    return this.options.crashesAfter(path)
  }

  approve(title: string, path: string, details: JsonValue | undefined) {
    return this.options.approve(title, path, details)
  }

  deliver(message: EngineMessage): void {
    if (!('executionId' in message)) return
    const run = this.runs.get(message.executionId)
    if (run) this.inbox.push(() => run.receive(message as RunMessage))
  }

  startAttempt(execution: TestExecution): void {
    this.runs.set(execution.id, new Run(execution.assign, execution.agent, this.portOf(execution)))
  }

  stopAttempt(execution: TestExecution): void {
    this.runs.get(execution.id)?.end('fenced')
    this.runs.delete(execution.id)
  }

  budgetOf(agentId: string): number | undefined {
    return this.agents.get(agentId)?.budgetMicroCredits
  }

  startChild(
    message: Extract<WorkerMessage, { type: 'child_start' }>,
    given: Given,
    done: (outcome: Outcome, spentMicroCredits: number) => void,
  ): void {
    const { agentId, childId, input } = message
    const mock = this.options.mocks[agentId]
    if (mock !== undefined) {
      const answer = async () =>
        toPlainJson(typeof mock === 'function' ? await mock(input as never) : mock, `the mock of ${agentId}`)
      answer().then(
        (output) => this.inbox.push(() => done({ status: 'completed', output }, 0)),
        (cause: unknown) =>
          this.inbox.push(() =>
            done({ status: 'failed', error: new OmiumError('agent_threw', String(cause), { cause }).toFailure() }, 0),
          ),
      )
      return
    }
    const agent = this.agents.get(agentId)
    if (!agent) {
      const detail = `no agent "${agentId}" in this test: pass it in \`agents\`, or give \`mocks\` an answer of that name`
      this.inbox.push(() => done({ status: 'failed', error: new OmiumError('agent_unknown', detail).toFailure() }, 0))
      return
    }
    const existing = this.executions.get(childId)
    if (existing) return
    this.add(childId, agent, input, [], done, given)
  }

  private add(
    id: string,
    agent: AnyAgent,
    input: JsonValue,
    signals: readonly (readonly [string, JsonValue])[],
    done: (outcome: Outcome, spentMicroCredits: number) => void,
    given: Given = {},
  ): TestExecution {
    const execution = new TestExecution(this, id, agent, input, signals, done, given)
    this.executions.set(id, execution)
    this.inbox.push(() => execution.begin())
    return execution
  }

  /** One macrotask of the engine: everything received so far, else the next instant. */
  private async pass(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    const messages = this.inbox
    this.inbox = []
    for (const handle of messages) handle()
    if (messages.length > 0 || this.inbox.length > 0 || !this.turns.empty) return
    const runs = [...this.runs.values()]
    const asleep = runs.every((run) => run.running.size === 0 && (run.waiting || this.ownTimers.has(run)))
    if (!asleep) await new Promise<void>((resolve) => setTimeout(resolve, 1))
    else if (this.clock.hasTimers) this.clock.advance()
    else for (const execution of [...this.executions.values()].reverse()) if (!execution.outcome) execution.giveUp()
  }

  private portOf(execution: TestExecution): RunPort {
    const { mocks, llm, inlineChildren } = this.options
    /** of what was sent and not received yet: it comes at one time */
    let claims = 0
    const port: RunPort = {
      send: (message) => {
        if (!('executionId' in message)) return
        const claim = draws(message) ? 1 : 0
        claims += claim
        this.inbox.push(() => {
          execution.receive(message, claims)
          claims -= claim
        })
      },
      schedule: (run) => this.turns.schedule(run),
      finished: () => {},
      waiting: () => {},
      now: () => this.clock.now(),
      after: (ms, callback) => {
        const run = this.runs.get(execution.id)
        const count = (by: number) => {
          if (!run) return
          const left = (this.ownTimers.get(run) ?? 0) + by
          if (left > 0) this.ownTimers.set(run, left)
          else this.ownTimers.delete(run)
        }
        count(1)
        const cancel = this.clock.at(this.clock.now() + ms, () => {
          count(-1)
          callback()
        })
        return () => {
          cancel()
          count(-1)
        }
      },
      uuid: () => {
        const hex = hashJson(['uuid', this.draws++])
        return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
      },
      random: () => Number.parseInt(hashJson(['random', this.draws++]).slice(0, 12), 16) / 2 ** 48,
      substitute: (name, fn) => {
        if (!Object.hasOwn(mocks, name)) return fn
        const mock = mocks[name]
        return typeof mock === 'function' ? (info: StepInfo) => mock(info as never) : () => mock
      },
      watch: this.watch,
      log: this.log,
      llm,
    }
    if (this.options.hermetic) return { ...port, hermetic: true }
    if (inlineChildren) port.met = (agent) => this.agents.set(agent.id, agent)
    return port
  }
}
