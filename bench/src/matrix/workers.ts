import type { Framework } from './expected.ts'

/** Starts a process that ends with the stack, however that ends. */
export type Launch = (program: {
  readonly name: string
  /** a TypeScript entry when there is no command */
  readonly entry?: string
  readonly command?: string
  readonly args?: readonly string[]
  readonly env: Readonly<Record<string, string>>
}) => Promise<Launched>

export interface Launched {
  /** @throws Error with the end of its output when it ends, or says nothing of the kind for long */
  line(pattern: RegExp): Promise<RegExpExecArray>
  /** SIGKILL */
  kill(): Promise<unknown>
}

export interface WorkerSettings {
  readonly launch: Launch
  /** of an environment that has all frameworks */
  readonly python: string
  /** where the platform and the model are */
  readonly env: Readonly<Record<string, string>>
  /** where tools write down that they acted */
  readonly actsLog: string
}

export const fixtures = 'sdk/python/test/fixtures'

const modules: Readonly<Record<Exclude<Framework, 'typescript'>, string>> = {
  plain: 'faulty_plain:faulty_plain',
  langgraph: 'faulty_langgraph_team:faulty_langgraph',
  crewai: 'faulty_crewai_team:faulty_crewai',
  autogen: 'faulty_autogen_team:faulty_autogen',
  semantic_kernel: 'faulty_semantic_kernel_team:faulty_semantic_kernel',
}

/** The workers of one framework, by their ids. */
export class Workers {
  readonly #settings: WorkerSettings
  readonly #framework: Framework
  readonly #running = new Map<string, Launched>()
  #starting: Promise<unknown>[] = []
  #count = 0

  constructor(framework: Framework, settings: WorkerSettings) {
    this.#framework = framework
    this.#settings = settings
  }

  /** Resolves when an engine has welcomed it. */
  async start(): Promise<void> {
    const { launch, python, env, actsLog } = this.#settings
    const framework = this.#framework
    const name = `worker-${framework}-${++this.#count}`
    const given = { ...env, ACTS_LOG: actsLog }
    const launched = await launch(
      framework === 'typescript'
        ? { name, entry: 'bench/src/matrix/faulty-worker.ts', env: given }
        : {
            name,
            command: python,
            args: ['-m', 'omium', 'worker', modules[framework]],
            // it says at that level that it is ready
            env: { ...given, PYTHONPATH: fixtures, PYTHONHASHSEED: '0', OMIUM_LOG_LEVEL: 'info' },
          },
    )
    const [, id = ''] = await launched.line(/ready (wrk\S*) runs/)
    this.#running.set(id, launched)
  }

  /** Another one, which is not waited for. */
  startSpare(): void {
    this.#starting.push(this.start())
  }

  /** Kills the worker, with SIGKILL, and has another take its place. */
  async kill(id: string): Promise<void> {
    this.startSpare()
    await this.#running.get(id)?.kill()
    this.#running.delete(id)
  }

  /** When spares have started there are so many. */
  async ready(): Promise<number> {
    await Promise.all(this.#starting)
    this.#starting = []
    return this.#running.size
  }

  async killAll(): Promise<void> {
    await Promise.allSettled(this.#starting)
    await Promise.all([...this.#running.values()].map((one) => one.kill()))
    this.#running.clear()
  }
}
