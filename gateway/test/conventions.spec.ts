import { beforeAll, describe, expect, it } from 'vitest'
import type { Document, Operation } from '../src/openapi/document.ts'
import { describedApp } from './described-app.ts'

/**
 * What every operation has in common, asked of the route table: a new route is in here by being there. What is said of them is
 * held against what they do by tenants.e2e.spec.ts and contract.e2e.spec.ts.
 */
interface Described {
  readonly name: string
  readonly method: string
  readonly operation: Operation
}
let all: readonly Described[]

beforeAll(async () => {
  const { paths }: Document = await describedApp()
  all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      operation,
    })),
  )
}, 60_000)

const takes = ({ operation }: Described, name: string): boolean =>
  (operation.parameters ?? []).some((one) => one.name === name)
const isPublic = ({ operation }: Described): boolean => (operation['security'] as unknown[] | undefined)?.length === 0
/** it says nothing but that it becomes a WebSocket */
const isUpgrade = ({ operation }: Described): boolean => '101' in operation.responses
const without = (ones: readonly Described[], has: (one: Described) => boolean): string[] =>
  ones.flatMap((one) => (has(one) ? [] : [one.name]))
const propertiesOf = ({ operation }: Described): Record<string, unknown> =>
  (operation.responses['200']?.content?.['application/json'] as { schema?: { properties?: Record<string, unknown> } })
    ?.schema?.properties ?? {}

it('there are operations to ask', () => {
  expect(all.length).toBeGreaterThan(100)
})

it('every request that changes something takes an idempotency-key; what comes from outside names itself', () => {
  const changes = all.filter(({ method }) => method !== 'GET')
  expect(without(changes, (one) => takes(one, 'idempotency-key'))).toEqual(['POST /v1/hooks/{tenant}/{id}'])
})

describe('every read', () => {
  const reads = () => all.filter((one) => one.method === 'GET' && !isUpgrade(one))

  it('waits for a position', () => {
    expect(without(reads(), (one) => takes(one, 'min_position'))).toEqual([])
  })
  it('has an etag, and says when it is current', () => {
    expect(without(reads(), (one) => takes(one, 'if-none-match') && '304' in one.operation.responses)).toEqual([])
  })
  it('of a list has pages', () => {
    const lists = reads().filter((one) => 'items' in propertiesOf(one))
    expect(lists.length).toBeGreaterThan(20)
    const paged = (one: Described) => takes(one, 'limit') && takes(one, 'cursor') && 'nextCursor' in propertiesOf(one)
    // sums over a bounded time; and lists that are told whole, since their length is bounded
    const whole = [
      'GET /v1/recoveries/groups',
      'GET /v1/recoveries/stats',
      'GET /v1/workflow-templates',
      'GET /v1/me/invitations',
    ]
    expect(without(lists, paged)).toEqual(whole)
  })
})

describe('every refusal is declared', () => {
  const declares = (status: number) => (one: Described) => String(status) in one.operation.responses
  it.each([
    ['what nobody can read, comes too late, too often, or to nobody', [400, 408, 429, 431, 500, 503, 504], () => true],
    ['of who is unknown, or may not', [401, 403], (one: Described) => !isPublic(one)],
    ['of what is not there', [404], (one: Described) => one.name.includes('{')],
    [
      'of what cannot be used',
      [422],
      (one: Described) => (one.operation.parameters ?? []).length > 0 || one.operation.requestBody !== undefined,
    ],
    ['of bodies', [400, 413, 415], (one: Described) => one.operation.requestBody !== undefined],
    ['of a key that was used for something else', [409], (one: Described) => one.method === 'POST' && !isPublic(one)],
  ] as const)('%s', (_what, statuses, applies) => {
    for (const status of statuses) expect(without(all.filter(applies), declares(status)), String(status)).toEqual([])
  })
})
