import type { JsonValue, WorkflowBlock, WorkflowBundle } from '@omium/schemas'
import type { Context } from '@omium/sdk'
import type { Scope } from '@omium/workflow-language'

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

export const keyed = (key: string): { key?: string } => (key === '' ? {} : { key })

export const below = (key: string, level: string | number): string => (key === '' ? String(level) : `${key}.${level}`)
