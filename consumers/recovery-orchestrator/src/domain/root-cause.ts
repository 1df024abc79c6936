import type { CauseLink, Failure, JsonValue } from '@omium/schemas'

/**
 * The chain of causes behind a failure, from what the run saw to the deepest cause that is known.
 *
 * A run that failed because of a child tells so in its failure's `data`: the child's id, the code with which it failed, and
 * in `cause` the same about that child's own child, to any depth. The first cause is the last link; everything before it is
 * a symptom.
 */
export interface ChildFailure {
  readonly childId: string
  readonly agentId?: string | undefined
  readonly path: string
  readonly error: Failure
}

export interface Origin {
  readonly executionId: string
  readonly agentId: string
  readonly path?: string | undefined
  readonly error: Failure
  /** the failure of the child that the error speaks of, as the child told it */
  readonly child?: ChildFailure | undefined
}

const deepest = 40
const maxDetail = 2000

const linkOf = (executionId: string, error: Failure, agentId?: string, path?: string): CauseLink => ({
  executionId,
  ...(agentId !== undefined && { agentId }),
  ...(path !== undefined && { path }),
  code: error.code,
  detail: (error.cause?.message ? `${error.detail}\n${error.cause.message}` : error.detail).slice(0, maxDetail),
  ...(error.cause && { name: error.cause.name.slice(0, 200) }),
})

const objectOf = (value: JsonValue | undefined): Record<string, JsonValue> | null =>
  value !== undefined && value !== null && typeof value === 'object' && !Array.isArray(value) ? value : null

const textOf = (value: JsonValue | undefined): string | undefined => (typeof value === 'string' ? value : undefined)

/** What stands behind "child execution X failed: ", which every level puts before its child's own words. */
const innermost = (detail: string, childId: string): string => {
  const told = `child execution ${childId} failed: `
  const at = detail.lastIndexOf(told)
  return at < 0 ? detail : detail.slice(at + told.length)
}

export const causalChain = ({ executionId, agentId, path, error, child }: Origin): CauseLink[] => {
  const chain = [linkOf(executionId, error, agentId, path)]
  let last = error
  if (child) {
    chain.push(linkOf(child.childId, child.error, child.agentId))
    last = child.error
  }
  let { data } = last
  for (let depth = 0; depth < deepest; depth++) {
    const told = objectOf(data)
    const childId = textOf(told?.['childId'])
    const code = textOf(told?.['code'])
    if (!told || childId === undefined) break
    chain.push({
      executionId: childId.slice(0, 200),
      code: (code ?? textOf(told['status']) ?? 'child_failed').slice(0, 100),
      detail: innermost(last.detail, childId).slice(0, maxDetail),
    })
    data = told['cause']
  }
  return chain
}

/** The first cause: not what was seen last, but what it all came from. */
export const rootCauseOf = (chain: readonly CauseLink[]): CauseLink => {
  const root = chain.at(-1)
  if (!root) throw new RangeError('a chain of causes has at least one link')
  return root
}
