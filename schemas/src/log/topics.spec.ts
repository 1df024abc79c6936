import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contexts } from '../contexts.ts'
import { readSettings } from '../settings.ts'
import { triggerSource } from '../workflow/model.ts'
import { commandsTopic, deadLettersTopic, eventsTopic, tenantTopic } from './topics.ts'

/** Segments that a hostile tenant would choose, and any others. */
const segment = fc.oneof(
  fc.constantFrom('omium', 'tenants', 'execution', 'events', 'commands', 'dead-letters', 'a', 'b', ''),
  fc.stringMatching(/^[A-Za-z0-9_-]{0,8}$/),
)
const dotted = (most: number) => fc.array(segment, { minLength: 1, maxLength: most }).map((parts) => parts.join('.'))
const prefixOf = (given: string): string | undefined => {
  try {
    return readSettings({ OMIUM_TOPIC_PREFIX: given }, ['OMIUM_TOPIC_PREFIX']).OMIUM_TOPIC_PREFIX
  } catch {
    return undefined
  }
}
const prefix = dotted(4).filter((given) => given !== '' && prefixOf(given) === given)
const topicOf = (...args: Parameters<typeof tenantTopic>): string | undefined => {
  try {
    return tenantTopic(...args)
  } catch {
    return undefined
  }
}
const isName = (topic: string): boolean => triggerSource.safeParse({ type: 'topic', topic }).success

describe('topics of tenants', () => {
  it('are below their own name', () => {
    expect(tenantTopic('omium', 'ten_a', 'orders.created')).toBe('omium.tenants.ten_a.orders.created')
  })

  it.each([
    ['omium', 'execution.events'],
    ['tenants', 'ten_b.orders'],
    ['ten_a', 'x'],
  ])('reach no other topic when the tenant is called %s and asks for %s', (tenant, name) => {
    const topic = tenantTopic('omium', tenant, name)
    expect(topic.startsWith(`omium.tenants.${tenant}.`)).toBe(true)
    expect(topic).not.toBe(tenantTopic('omium', 'ten_b', 'orders'))
  })

  it.each(['ten.b', 'ten_a.x', '..', '', 'a/b', 'a b', '-a', 'a\n'])('do not exist for a tenant %j', (tenant) => {
    expect(() => tenantTopic('omium', tenant, 'x')).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  it('are never two at once, in any installations of one cluster', () => {
    const place = fc.tuple(prefix, dotted(2), dotted(4).filter(isName))
    fc.assert(
      fc.property(place, place, (one, other) => {
        const topic = topicOf(...one)
        if (topic !== undefined && topic === topicOf(...other)) expect(one).toEqual(other)
      }),
      { numRuns: 2_000 },
    )
  })

  it('are never those of the platform', () => {
    fc.assert(
      fc.property(prefix, prefix, dotted(2), dotted(4).filter(isName), (own, other, tenant, name) => {
        const topic = topicOf(own, tenant, name)
        const platform = contexts.flatMap((context) => [
          commandsTopic(other, context.name),
          eventsTopic(other, context.name),
        ])
        if (topic !== undefined) expect([...platform, deadLettersTopic(other)]).not.toContain(topic)
      }),
      { numRuns: 1_000 },
    )
  })

  it('need names, not paths', () => {
    for (const name of ['', '.', '..', '.x', 'a/b', 'a b', 'x'.repeat(201)]) expect(isName(name)).toBe(false)
    expect(prefixOf('omium.tenants.ten_a')).toBeUndefined()
    expect(prefixOf('tenants')).toBeUndefined()
  })
})
