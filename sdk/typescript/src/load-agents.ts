import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { OmiumError } from '@omium/schemas'
import type { AnyAgent } from './context.ts'

export interface LoadedAgents {
  readonly agents: readonly AnyAgent[]
  /** one for each module that could not be used; the others are unaffected */
  readonly problems: readonly { readonly module: string; readonly error: OmiumError }[]
}

/**
 * Imports every module and collects the agents it exports, under whatever names (an exported array counts as well).
 * A bad module is reported and left out: not found, throws when imported, exports no agent, or an id that another has.
 */
export const loadAgents = async (modules: readonly string[], workingFolder: string): Promise<LoadedAgents> => {
  const agents = new Map<string, AnyAgent>()
  const problems: { module: string; error: OmiumError }[] = []
  for (const module of modules) {
    try {
      const found = await agentsOf(module, workingFolder)
      const taken = found.find((agent) => agents.has(agent.id))
      if (taken)
        throw new OmiumError(
          'settings_invalid',
          `${module} exports the agent "${taken.id}", which an earlier module has: rename one`,
        )
      for (const agent of found) agents.set(agent.id, agent)
    } catch (error) {
      problems.push({ module, error: error instanceof OmiumError ? error : new OmiumError('internal', String(error)) })
    }
  }
  return { agents: [...agents.values()], problems }
}

const agentsOf = async (module: string, workingFolder: string): Promise<AnyAgent[]> => {
  const url = urlOf(module, workingFolder)
  if (url.protocol === 'file:' && !existsSync(fileURLToPath(url)))
    throw new OmiumError('not_found', `${module} does not exist (looked for ${fileURLToPath(url)})`)
  let exported: Record<string, unknown>
  try {
    exported = (await import(url.href)) as Record<string, unknown>
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new OmiumError('agent_threw', `${module} can't be imported: ${said}`, { cause })
  }
  const found = [...new Set(Object.values(exported).flat().filter(isAgent))]
  if (found.length === 0)
    throw new OmiumError('agent_unknown', `${module} exports no agent: export what agent({...}) returns`)
  return found
}

const urlOf = (module: string, workingFolder: string): URL =>
  /^[a-z][a-z0-9+.-]+:/i.test(module) && !/^[a-z]:[\\/]/i.test(module)
    ? new URL(module)
    : pathToFileURL(resolve(workingFolder, module))

const isAgent = (value: unknown): value is AnyAgent =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as Partial<AnyAgent>).id === 'string' &&
  typeof (value as Partial<AnyAgent>).execute === 'function' &&
  (value as Partial<AnyAgent>).definition?.agentId === (value as AnyAgent).id
