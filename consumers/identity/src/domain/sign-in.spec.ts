import { describe, expect, it } from 'vitest'
import { decideAddress, evolveAddress } from './address.ts'
import { decideApiKey, evolveApiKey } from './api-key.ts'
import { decideMagicLink, evolveMagicLink } from './magic-link.ts'

const nowMs = 1_000_000
const asked = { actor: 'user:usr_a', nowMs }
const digest = 'd'.repeat(64)

describe('an address', () => {
  const claimed = evolveAddress(undefined, { type: 'AddressClaimed', data: { userId: 'usr_a' } })
  it('belongs to whoever claims it first', () => {
    expect(decideAddress(undefined, { type: 'ClaimAddress', data: { userId: 'usr_a' } })).toMatchObject({
      events: [{ type: 'AddressClaimed', data: { userId: 'usr_a' } }],
    })
    expect(decideAddress(claimed, { type: 'ClaimAddress', data: { userId: 'usr_b' } })).toEqual({
      status: 'decided',
      events: [],
    })
  })
  it('is given up by nobody else, and is free then', () => {
    expect(decideAddress(claimed, { type: 'ReleaseAddress', data: { userId: 'usr_b', why: 'erased' } })).toMatchObject({
      events: [],
    })
    const free = evolveAddress(claimed, { type: 'AddressReleased', data: { userId: 'usr_a', why: 'erased' } })
    expect(decideAddress(free, { type: 'ClaimAddress', data: { userId: 'usr_b' } })).toMatchObject({
      events: [{ type: 'AddressClaimed' }],
    })
  })
})

describe('a magic link', () => {
  const data = { secret: 'a'.repeat(64), browser: 'b'.repeat(64), expiresAt: nowMs + 600_000 }
  const issued = evolveMagicLink(undefined, { type: 'MagicLinkIssued', data })
  const use = (changed = {}) =>
    ({ type: 'UseMagicLink', data: { secret: data.secret, browser: data.browser, ...changed } }) as const
  it('opens once', () => {
    const opened = decideMagicLink(issued, use(), asked)
    expect(opened).toEqual({ status: 'decided', events: [{ type: 'MagicLinkUsed', data: { at: nowMs } }] })
    const used = evolveMagicLink(issued, { type: 'MagicLinkUsed', data: { at: nowMs } })
    expect(decideMagicLink(used, use(), asked)).toMatchObject({ code: 'magic_link_unusable' })
  })
  it.each([
    ['with another secret', issued, use({ secret: 'c'.repeat(64) }), nowMs],
    ['when its time is over', issued, use(), data.expiresAt],
    ['when it was never issued', undefined, use(), nowMs],
  ])('does not open %s, and these refusals look the same', (_what, state, command, at) => {
    const refusal = decideMagicLink(state, command, { ...asked, nowMs: at })
    expect(refusal).toEqual(decideMagicLink(undefined, use(), asked))
  })
  it('does not open in another browser, and is not used up there', () => {
    expect(decideMagicLink(issued, use({ browser: 'c'.repeat(64) }), asked)).toMatchObject({
      code: 'magic_link_other_browser',
      events: [],
    })
  })
  it('is issued once under its id', () => {
    expect(decideMagicLink(issued, { type: 'IssueMagicLink', data }, asked)).toMatchObject({
      code: 'identity_conflict',
    })
  })
})

describe('an API key', () => {
  const issue = {
    name: 'ci',
    environment: 'live',
    prefix: 'om_live_x',
    hash: { digest, pepper: 1 },
    scopes: { permissions: ['executions:read'] },
  } as const
  const data = { ...issue, scopes: { permissions: [...issue.scopes.permissions] } }
  const place = { id: 'key_1', tenant: 'ten_a', correlationId: 'c' }
  const live = evolveApiKey(undefined, { type: 'ApiKeyIssued', data: { ...data, by: 'user:usr_a' } }, place)
  const decide = (state: typeof live | undefined, command: Parameters<typeof decideApiKey>[1]) =>
    decideApiKey(state, command, 'key_1', asked)

  it('is issued by whoever asks, once', () => {
    expect(decide(undefined, { type: 'IssueApiKey', data })).toEqual({
      status: 'decided',
      events: [{ type: 'ApiKeyIssued', data: { ...data, by: 'user:usr_a', notify: 'usr_a' } }],
    })
    expect(decide(live, { type: 'IssueApiKey', data })).toMatchObject({ status: 'decided', events: [] })
    const other = { ...data, hash: { digest: 'e'.repeat(64), pepper: 1 } }
    expect(decide(live, { type: 'IssueApiKey', data: other })).toMatchObject({ code: 'identity_conflict' })
    expect(decide(undefined, { type: 'IssueApiKey', data: { ...data, expiresAt: nowMs } })).toMatchObject({
      code: 'invalid_request',
    })
  })
  it('goes on beside its successor for a while, which never becomes longer', () => {
    const replace = (until: number) => ({ type: 'ReplaceApiKey', data: { successor: 'key_2', until } }) as const
    const replaced = {
      type: 'ApiKeyReplaced',
      data: { successor: 'key_2', until: nowMs + 10, by: 'user:usr_a' },
    } as const
    expect(decide(live, replace(nowMs + 10))).toEqual({ status: 'decided', events: [replaced] })
    const ending = evolveApiKey(live, replaced, place)
    expect(decide(ending, replace(nowMs + 99))).toMatchObject({ events: [{ data: { until: nowMs + 10 } }] })
    expect(decide({ ...ending, until: nowMs }, replace(nowMs + 99))).toMatchObject({ code: 'identity_conflict' })
  })
  it('is revoked for ever', () => {
    expect(decide(live, { type: 'RevokeApiKey', data: {} })).toMatchObject({ events: [{ type: 'ApiKeyRevoked' }] })
    const revoked = evolveApiKey(live, { type: 'ApiKeyRevoked', data: { by: 'x' } }, place)
    expect(decide(revoked, { type: 'RevokeApiKey', data: {} })).toMatchObject({ events: [] })
    expect(decide(revoked, { type: 'ReplaceApiKey', data: { successor: 'key_2', until: nowMs + 1 } })).toMatchObject({
      code: 'identity_conflict',
    })
    expect(decide(undefined, { type: 'RevokeApiKey', data: {} })).toMatchObject({ code: 'api_key_unknown' })
  })
})
