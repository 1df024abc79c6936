import type { JsonValue, NodeRetry, WorkflowBlock, WorkflowBundle } from '@omium/schemas'
import type { CallOptions, Context } from '@omium/sdk'
import { evaluateCondition, fillTemplate, type Scope } from '@omium/workflow-language'
import { withRetries } from './retries.ts'

/** What became of a node. */
export interface NodeResult {
  readonly status: 'completed' | 'skipped' | 'failed'
  readonly output: JsonValue
}

/** Where a block runs: what its expressions see, and which round of the maps and loops around it this is. */
export interface Frame {
  readonly scope: Scope & { readonly nodes: Readonly<Record<string, NodeResult>> }
  /** `2.0`: the third item, in its first round; empty outside of maps, loops and branches */
  readonly key: string
}

export interface Surroundings {
  readonly ctx: Context
  readonly subworkflows: WorkflowBundle['subworkflows']
  /** runs a block inside of a node */
  runBlock(block: WorkflowBlock, frame: Frame): Promise<JsonValue>
}

/** One node in one round: what its templates see, and how what it does is called in the journal. */
export class NodeRun {
  readonly id: string
  readonly around: Surroundings
  readonly #frame: Frame

  constructor(id: string, frame: Frame, around: Surroundings) {
    this.id = id
    this.around = around
    this.#frame = frame
  }

  get ctx(): Context {
    return this.around.ctx
  }

  get scope(): Frame['scope'] {
    return this.#frame.scope
  }

  /** Name of its steps, and the round. @param part of what it does, when that is more than one thing */
  step(part?: string): { name: string; key?: string } {
    const { key } = this.#frame
    return { name: part === undefined ? this.id : `${this.id}.${part}`, ...(key !== '' && { key }) }
  }

  fill(template: JsonValue): JsonValue {
    return fillTemplate(template, this.scope)
  }

  /** The template as text: other values as JSON. */
  text(template: JsonValue): string {
    return textOf(this.fill(template))
  }

  holds(condition: string, more: Scope = {}): boolean {
    return evaluateCondition(condition, { ...this.scope, ...more })
  }

  /** What was worked out from recorded results: a step, so that people see it. */
  record(output: JsonValue): Promise<JsonValue> {
    const { name, ...key } = this.step()
    return this.ctx.step(name, () => output, { retry: false, ...key })
  }

  /** A child run, again and again as far as the node wants that. */
  call(
    agent: string,
    input: JsonValue,
    options: CallOptions['options'],
    retry: NodeRetry | undefined,
  ): Promise<JsonValue> {
    const asked = { ...this.step(), ...(options && { options }) }
    // rests hold no worker
    const rest = (ms: number) => this.ctx.sleep(ms, this.step('rest'))
    return withRetries(retry, rest, () => this.ctx.call(agent, input, asked))
  }

  /** Runs a block of the node. @param level tells it from its other rounds or branches; @param more what only the block sees */
  block(block: WorkflowBlock, level?: string | number, more: Omit<Scope, 'nodes'> = {}): Promise<JsonValue> {
    const { key } = this.#frame
    const below = level === undefined ? key : key === '' ? String(level) : `${key}.${level}`
    return this.around.runBlock(block, { scope: { ...this.scope, ...more }, key: below })
  }
}

export const textOf = (value: JsonValue): string => (typeof value === 'string' ? value : JSON.stringify(value))
