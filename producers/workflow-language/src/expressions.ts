import { type ASTNode, Environment } from '@marcbachmann/cel-js'
import { type JsonValue, OmiumError } from '@omium/schemas'

/**
 * Expressions: CEL over JSON.
 *
 * 1. Pure: no clock, randomness, I/O or state. The same scope gives the same value in every process.
 * 2. Bounded: in length, size of the syntax tree, number and nesting of comprehensions, additions inside them, and size of
 *    the result; no regular expressions, whose cost nobody can tell beforehand.
 * 3. Numbers are JSON's. `7 / 2` of two literals is 3, as CEL has it; with a number from outside it is a fraction.
 */

export type ScopeName = 'parameters' | 'nodes' | 'run' | 'item' | 'index' | 'iteration' | 'last' | 'error' | 'event'
export type Scope = Readonly<Partial<Record<ScopeName, unknown>>>

/** What an expression reads: `['nodes', 'plan', 'output', 'title']`; it ends where the path is computed. */
export type Reference = readonly string[]

export interface Expression {
  readonly source: string
  readonly references: readonly Reference[]
  /** of the value, as far as it is known without running it; `dyn` when not */
  readonly type: string
  /** the whole expression is one path */
  readonly path: Reference | undefined
  /** @throws OmiumError `invalid_request`, which quotes the expression and says what went wrong */
  evaluate(scope: Scope): JsonValue
}

/** What is wrong with an expression, and where in it. */
export class ExpressionProblem extends Error {
  readonly start: number

  constructor(message: string, start: number) {
    super(message)
    this.name = 'ExpressionProblem'
    this.start = start
  }
}

const limits = { maxAstNodes: 500, maxDepth: 32, maxListElements: 500, maxMapEntries: 500, maxCallArguments: 16 }
const maxLength = 4096
const maxComprehensions = 4
const maxAdditionsInside = 4
const comprehensions = new Set(['map', 'filter', 'exists', 'exists_one', 'all'])

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(toJson(value)))

const arithmetic: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
}

const baseEnvironment = (): Environment => {
  const environment = new Environment({ unlistedVariablesAreDyn: false, homogeneousAggregateLiterals: false, limits })
  // JSON has one kind of number: what comes from outside is a double, literals are integers
  for (const [operator, calculate] of Object.entries(arithmetic)) {
    environment.registerOperator(`double ${operator} int`, (a: number, b: bigint) => calculate(a, Number(b)))
    environment.registerOperator(`int ${operator} double`, (a: bigint, b: number) => calculate(Number(a), b))
  }
  environment.registerOperator('double % double', (a: number, b: number) => a % b)
  environment.registerFunction('list<dyn>.join(string): string', (list: unknown[], separator: string) =>
    list.map(textOf).join(separator),
  )
  environment.registerFunction('list.flatten(): list<dyn>', (list: unknown[]) => list.flat())
  environment.registerFunction('json(dyn): string', textOf)
  environment.registerFunction('keys(map): list<dyn>', (map: object) => Object.keys(map))
  environment.registerFunction('values(map): list<dyn>', (map: object) => Object.values(map))
  environment.registerFunction('default(dyn, dyn): dyn', (value: unknown, instead: unknown) => value ?? instead)
  return environment
}

const environments = new Map<string, Environment>()
const environmentOf = (names: readonly ScopeName[]): Environment => {
  const key = names.join()
  let environment = environments.get(key)
  if (!environment) {
    environment = baseEnvironment()
    for (const name of names) environment.registerVariable(name, 'dyn')
    environments.set(key, environment)
  }
  return environment
}

/** a list of lists may be small in memory and endless when it is written down */
const mostResultValues = 1_000_000
const mostResultCharacters = 16 * 1024 * 1024

interface Room {
  values: number
  characters: number
}
const newRoom = (): Room => ({ values: mostResultValues, characters: mostResultCharacters })

/** Plain JSON of what CEL gives. @throws RangeError for what JSON has no form of, and for too much */
const toJson = (value: unknown, room: Room = newRoom()): JsonValue => {
  room.values--
  if (typeof value === 'string') room.characters -= value.length
  if (room.values < 0 || room.characters < 0) throw new RangeError('the result is too large')
  if (value === null || value === undefined) return null
  if (typeof value === 'bigint') {
    const number = Number(value)
    if (!Number.isSafeInteger(number)) throw new RangeError(`${value} is too large a number`)
    return number
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new RangeError(`the result is ${value}, which JSON does not have`)
    return value
  }
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (Array.isArray(value)) return value.map((item) => toJson(item, room))
  if (value instanceof Date) return value.toISOString()
  const plain = Object.getPrototypeOf(value) as unknown
  if (plain === Object.prototype || plain === null) {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, toJson(member, room)]))
  }
  throw new RangeError(`the result is a ${(value as object).constructor.name}, which JSON does not have`)
}

const isNode = (value: unknown): value is ASTNode => typeof value === 'object' && value !== null && 'op' in value

/** A chain of members from a name: `nodes.a.output["b"]`; not exact when it goes on with a computed member. */
const chainOf = (node: ASTNode): { path: string[]; exact: boolean } | undefined => {
  if (node.op === 'id') return { path: [node.args], exact: true }
  if (node.op !== '.' && node.op !== '[]') return undefined
  const [object, member] = node.args
  const chain = chainOf(object)
  if (!chain?.exact) return chain
  if (typeof member === 'string') return { path: [...chain.path, member], exact: true }
  if (member.op === 'value' && typeof member.args === 'string')
    return { path: [...chain.path, member.args], exact: true }
  return { path: chain.path, exact: false }
}

const childrenOf = (node: ASTNode): ASTNode[] => {
  const children: ASTNode[] = []
  const collect = (value: unknown): void => {
    if (isNode(value)) children.push(value)
    else if (Array.isArray(value)) for (const item of value) collect(item)
  }
  collect(node.args)
  return children
}

/** The members that are computed along a chain: each is an expression of its own. */
const computedIn = (node: ASTNode): ASTNode[] => {
  if (node.op !== '.' && node.op !== '[]') return []
  const [object, member] = node.args
  return [...computedIn(object), ...(isNode(member) && member.op !== 'value' ? [member] : [])]
}

/** Every path that is read; refuses what would make the cost unbounded. */
const survey = (root: ASTNode, nesting: number): Reference[] => {
  const references: Reference[] = []
  let count = 0
  const walk = (node: ASTNode, bound: ReadonlySet<string>, depth: number, additions: { left: number }): void => {
    if (node.op === '+' && depth > 0 && --additions.left < 0)
      throw new ExpressionProblem(`at most ${maxAdditionsInside} additions inside a comprehension`, node.start)
    const chain = chainOf(node)
    if (chain) {
      const [name] = chain.path
      if (name !== undefined && !bound.has(name)) references.push(chain.path)
      for (const computed of computedIn(node)) walk(computed, bound, depth, additions)
      return
    }
    if (node.op !== 'rcall') {
      for (const child of childrenOf(node)) walk(child, bound, depth, additions)
      return
    }
    const [method, receiver, args] = node.args
    if (method === 'matches')
      throw new ExpressionProblem('matches() is not available: use contains, startsWith or endsWith', node.start)
    if (method === 'bind') throw new ExpressionProblem('cel.bind() is not available: use a set node', node.start)
    walk(receiver, bound, depth, additions)
    const [variable] = args
    if (!comprehensions.has(method) || variable?.op !== 'id') {
      for (const argument of args) walk(argument, bound, depth, additions)
      return
    }
    if (++count > maxComprehensions)
      throw new ExpressionProblem(`at most ${maxComprehensions} comprehensions in one expression`, node.start)
    if (depth + 1 > nesting) throw new ExpressionProblem(`comprehensions nest at most ${nesting} deep here`, node.start)
    const inner = new Set([...bound, variable.args])
    const budget = depth === 0 ? { left: maxAdditionsInside } : additions
    for (const argument of args.slice(1)) walk(argument, inner, depth + 1, budget)
  }
  walk(root, new Set(), 0, { left: maxAdditionsInside })
  return references
}

interface CelFailure {
  readonly summary?: string
  readonly message: string
  readonly range?: { readonly start: number }
}
const summaryOf = (error: unknown): string =>
  (error as CelFailure).summary ?? (error as CelFailure).message.split('\n')[0] ?? 'it failed'

const cache = new Map<string, Expression>()
const mostCached = 2000

/**
 * @param names what the expression may read
 * @param nesting how deep comprehensions may nest; 1 where the platform itself evaluates, which others wait for
 * @throws ExpressionProblem
 */
export const compileExpression = (source: string, names: readonly ScopeName[], nesting = 2): Expression => {
  const key = JSON.stringify([source, names, nesting])
  const cached = cache.get(key)
  if (cached) return cached
  if (source.length > maxLength) throw new ExpressionProblem(`longer than ${maxLength} characters`, 0)
  let run: ReturnType<Environment['parse']>
  try {
    run = environmentOf(names).parse(source)
  } catch (error) {
    throw new ExpressionProblem(summaryOf(error), (error as CelFailure).range?.start ?? 0)
  }
  const references = survey(run.ast, nesting)
  const checked = run.check()
  if (!checked.valid)
    throw new ExpressionProblem(summaryOf(checked.error), (checked.error as CelFailure | undefined)?.range?.start ?? 0)
  const chain = chainOf(run.ast)
  const expression: Expression = {
    source,
    references,
    type: checked.type ?? 'dyn',
    path: chain?.exact ? chain.path : undefined,
    evaluate(scope) {
      try {
        return toJson(run(scope))
      } catch (error) {
        throw new OmiumError('invalid_request', `the expression \`${source}\` cannot be evaluated: ${summaryOf(error)}`)
      }
    },
  }
  cache.set(key, expression)
  if (cache.size > mostCached) cache.delete(cache.keys().next().value as string)
  return expression
}

/** @throws OmiumError `invalid_request` when the value is no boolean */
export const evaluateCondition = (source: string, scope: Scope, nesting = 2): boolean => {
  const value = compileExpression(source, Object.keys(scope) as ScopeName[], nesting).evaluate(scope)
  if (typeof value === 'boolean') return value
  throw new OmiumError(
    'invalid_request',
    `the condition \`${source}\` gives ${JSON.stringify(value)?.slice(0, 100)}, not true or false`,
  )
}
