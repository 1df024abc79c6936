import type { WebhookEndpointEvent } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { created, deliver, given, message, now, requested, spec, stateOf } from '../../test/given.ts'
import { decideAttempt, type Outcome, retryAfterOf } from './attempt.ts'
import { mostPending } from './decide.ts'
import { signingSecrets } from './endpoint.ts'
import { decideForgetting, forgetsAt } from './forget.ts'

const rules = { delaysMs: [1000, 60_000], disableAfterMs: 5 * 86_400_000 }
const decidedTypes = (decision: ReturnType<ReturnType<typeof given>['when']>) =>
  decision.status === 'decided' ? decision.events.map(({ type }) => type) : decision.code
const disabled: WebhookEndpointEvent = { type: 'WebhookEndpointDisabled', data: { reason: 'requested', by: 'key:k' } }
const range = { from: 0, to: now }
const rotate = (secretId: string) => ({ type: 'RotateWebhookSecret', data: { secretId, overlapMs: 1000 } }) as const
const rotated = (secretId: string, previousUntil: number): WebhookEndpointEvent => ({
  type: 'WebhookSecretRotated',
  data: { secretId, previousUntil, by: 'key:k' },
})
const failed = (at: number, attempt = 1): WebhookEndpointEvent => ({
  type: 'WebhookDeliveryAttempted',
  data: { messageId: 'msg_1', attempt, at, tookMs: 5, status: 500, result: 'retrying', nextAt: at + 1000 },
})

describe('an endpoint', () => {
  it('is created once, and its id never again', () => {
    const create = { type: 'CreateWebhookEndpoint', data: { spec, secretId: 's' } } as const
    expect(decidedTypes(given().when(create))).toEqual(['WebhookEndpointCreated'])
    expect(decidedTypes(given(created).when(create))).toBe('webhook_conflict')
    const removed: WebhookEndpointEvent = { type: 'WebhookEndpointRemoved', data: { by: 'key:k' } }
    expect(decidedTypes(given(created, removed).when(create))).toBe('webhook_conflict')
    expect(decidedTypes(given(created, removed).when(deliver()))).toEqual([])
    expect(decidedTypes(given().when({ type: 'EnableWebhookEndpoint', data: {} }))).toBe('webhook_unknown')
  })

  it('records changes only', () => {
    const change = (url: string) => ({ type: 'ChangeWebhookEndpoint', data: { spec: { ...spec, url } } }) as const
    expect(decidedTypes(given(created).when(change(spec.url)))).toEqual([])
    expect(decidedTypes(given(created).when(change('https://other.example/')))).toEqual(['WebhookEndpointChanged'])
    expect(decidedTypes(given(created).when({ type: 'EnableWebhookEndpoint', data: {} }))).toEqual([])
    expect(decidedTypes(given(created, disabled).when({ type: 'DisableWebhookEndpoint', data: {} }))).toEqual([])
  })

  it('is asked for each message once while it waits, and takes no more than it can hold', () => {
    expect(decidedTypes(given(created).when(deliver()))).toEqual(['WebhookDeliveryRequested'])
    expect(decidedTypes(given(created, requested()).when(deliver('msg_1', 'redelivery')))).toEqual([])
    const full = Array.from({ length: mostPending }, (_, n) => requested(`m${n}`))
    expect(decidedTypes(given(created, ...full).when(deliver('one-more')))).toEqual(['WebhookDeliveryDropped'])
  })

  it('has few secrets at a time, and gets rid of one that leaked however many there are', () => {
    const many = Array.from({ length: 4 }, (_, n) => rotated(`wsk_${n}`, now + 1000))
    const full = given(created, ...many)
    expect(decidedTypes(full.when(rotate('wsk_new')))).toBe('webhook_conflict')
    const atOnce = { type: 'RotateWebhookSecret', data: { secretId: 'wsk_new', overlapMs: 0 } } as const
    expect(decidedTypes(full.when(atOnce))).toEqual(['WebhookSecretRotated'])
  })

  it('that is disabled forgets what waited, ignores events, and refuses people', () => {
    expect(stateOf(created, requested(), disabled).pending.size).toBe(0)
    expect(decidedTypes(given(created, disabled).when(deliver()))).toEqual([])
    expect(decidedTypes(given(created, disabled).when(deliver('msg_1', 'test')))).toBe('webhook_conflict')
    const replay = { type: 'ReplayWebhook', data: { replayId: 'r', range } } as const
    expect(decidedTypes(given(created, disabled).when(replay))).toBe('webhook_conflict')
    expect(decidedTypes(given(created).when(replay))).toEqual(['WebhookReplayRequested'])
    const running: WebhookEndpointEvent = { type: 'WebhookReplayRequested', data: { replayId: 'r', range, by: 'u' } }
    expect(decidedTypes(given(created, running).when(replay))).toBe('webhook_conflict')
    const finished: WebhookEndpointEvent = { type: 'WebhookReplayFinished', data: { replayId: 'r', found: 3 } }
    expect(decidedTypes(given(created, running, finished).when(replay))).toEqual(['WebhookReplayRequested'])
  })

  it('signs with the newest secret, and with those before it until their time', () => {
    const state = stateOf(created, rotated('wsk_2', now + 1000), rotated('wsk_3', now + 500))
    expect(signingSecrets(state, now)).toEqual(['wsk_3', 'wsk_2', 'wsk_1'])
    expect(signingSecrets(state, now + 500)).toEqual(['wsk_3', 'wsk_1'])
    expect(signingSecrets(state, now + 1000)).toEqual(['wsk_3'])
    const many = [2, 3, 4, 5].map((n) => rotated(`wsk_${n}`, now + 10_000))
    expect(decidedTypes(given(created, ...many).when(rotate('x')))).toBe('webhook_conflict')
    expect(decidedTypes(given(created, ...many).when(rotate('x'), now + 10_000))).toEqual(['WebhookSecretRotated'])
  })
})

describe('an attempt', () => {
  const outcome = (given: Partial<Outcome>): Outcome => ({ at: now, tookMs: 20, ...given })
  const after = (given: Partial<Outcome>, state = stateOf(created, requested()), random = 0.5) =>
    decideAttempt(state, 'msg_1', outcome(given), rules, random)

  it('that is answered with 2xx delivers', () => {
    expect(after({ status: 204 })).toEqual([
      {
        type: 'WebhookDeliveryAttempted',
        data: { messageId: 'msg_1', attempt: 1, at: now, tookMs: 20, status: 204, result: 'delivered' },
      },
    ])
    const [event] = after({ status: 200 })
    const state = stateOf(created, requested(), failed(now), event as WebhookEndpointEvent)
    expect([state.pending.size, state.failingSince]).toEqual([0, undefined])
  })

  it('that fails is made again after growing delays with jitter, then never', () => {
    const nextAt = (random: number) => after({ status: 500 }, undefined, random)[0]?.data
    expect(nextAt(0)).toMatchObject({ result: 'retrying', nextAt: now + 20 + 900 })
    expect(nextAt(1)).toMatchObject({ result: 'retrying', nextAt: now + 20 + 1100 })
    const second = stateOf(created, requested(), failed(now))
    expect(after({ error: 'gone astray' }, second)[0]?.data).toMatchObject({ attempt: 2, nextAt: now + 20 + 60_000 })
    const third = stateOf(created, requested(), failed(now), failed(now, 2))
    expect(after({ status: 302 }, third)[0]?.data).toMatchObject({ attempt: 3, result: 'dead' })
    expect(after({ status: 302 }, third)[0]?.data).not.toHaveProperty('nextAt')
  })

  it('heeds Retry-After, up to a day', () => {
    expect(after({ status: 429, retryAfterMs: 30_000 })[0]?.data).toMatchObject({ nextAt: now + 20 + 30_000 })
    expect(after({ status: 503, retryAfterMs: 1 })[0]?.data).toMatchObject({ nextAt: now + 20 + 1000 })
    expect(after({ status: 503, retryAfterMs: 9e9 })[0]?.data).toMatchObject({ nextAt: now + 20 + 86_400_000 })
    expect(retryAfterOf('120', now)).toBe(120_000)
    expect(retryAfterOf(new Date(now + 5000).toUTCString(), now)).toBe(5000)
    expect(retryAfterOf(new Date(now - 5000).toUTCString(), now)).toBe(0)
    expect([retryAfterOf('soon', now), retryAfterOf(undefined, now)]).toEqual([undefined, undefined])
  })

  it('disables an endpoint that is gone, or that nothing could be delivered to for days', () => {
    expect(after({ status: 410 })).toMatchObject([
      { data: { result: 'dead' } },
      { type: 'WebhookEndpointDisabled', data: { reason: 'gone' } },
    ])
    const failing = stateOf(created, requested(), failed(now - rules.disableAfterMs))
    expect(after({ status: 500 }, failing)).toMatchObject([
      { data: { result: 'retrying' } },
      { type: 'WebhookEndpointDisabled', data: { reason: 'failing' } },
    ])
    const delivered: WebhookEndpointEvent = {
      type: 'WebhookDeliveryAttempted',
      data: { messageId: 'msg_2', attempt: 1, at: now - 9, tookMs: 1, status: 200, result: 'delivered' },
    }
    const recovered = stateOf(created, requested(), failed(now - rules.disableAfterMs), requested('msg_2'), delivered)
    expect(after({ status: 500 }, recovered)).toHaveLength(1)
  })

  it('of a message that nobody waits for any more changes nothing', () => {
    expect(after({ status: 200 }, stateOf(created))).toEqual([])
    expect(message().id).toBe('msg_1')
  })
})

describe('what ended', () => {
  const keepMs = 30_000
  const tried = (messageId: string, result: 'delivered' | 'retrying' | 'dead'): WebhookEndpointEvent => ({
    type: 'WebhookDeliveryAttempted',
    data: { messageId, attempt: 1, at: now, tookMs: 1, result, ...(result === 'retrying' && { nextAt: now }) },
  })
  const forgotten = (before: number): WebhookEndpointEvent => ({ type: 'WebhookDeliveriesForgotten', data: { before } })
  const dropped: WebhookEndpointEvent = {
    type: 'WebhookDeliveryDropped',
    data: { message: message('m'), origin: 'event', why: 'too many' },
  }
  const running: WebhookEndpointEvent = { type: 'WebhookReplayRequested', data: { replayId: 'r', range, by: 'u' } }

  it.each<[string, WebhookEndpointEvent[], boolean]>([
    ['nothing', [], false],
    ['what waits', [requested()], false],
    ['what is tried again', [requested(), tried('msg_1', 'retrying')], false],
    ['what was delivered', [requested(), tried('msg_1', 'delivered')], true],
    ['what was given up', [requested(), tried('msg_1', 'dead')], true],
    ['what was dropped', [dropped], true],
    ['what waited when it was disabled', [requested(), disabled], true],
    ['being disabled while nothing waits', [disabled], false],
    ['a replay', [running, { type: 'WebhookReplayFinished', data: { replayId: 'r', found: 1 } }], true],
  ])('of %s', (_, events, ends) => {
    expect(forgetsAt(stateOf(created, ...events), keepMs)).toBe(ends ? now + 31_000 : undefined)
  })

  it('is forgotten after its time and a thirtieth, together with all that ended so long ago', () => {
    const state = stateOf(created, requested('a'), [now, tried('a', 'delivered')], requested('b'), [
      now + 500,
      tried('b', 'dead'),
    ])
    expect(decideForgetting(state, keepMs, now + 30_999)).toEqual([])
    expect(decideForgetting(state, keepMs, now + 31_000)).toEqual([forgotten(now + 1000)])
    const all = given(created, requested('a'), [now, tried('a', 'dead')], [now + 31_000, forgotten(now + 1000)]).state
    expect(all?.ended).toBeUndefined()
    const some = given(
      created,
      requested('a'),
      [now, tried('a', 'dead')],
      requested('b'),
      [now + 2000, tried('b', 'dead')],
      [now + 31_000, forgotten(now + 1000)],
    ).state
    expect(some?.ended).toEqual({ first: now + 1000, last: now + 2000 })
  })
})
