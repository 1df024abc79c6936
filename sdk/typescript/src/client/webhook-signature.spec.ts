import { expect, it } from 'vitest'
import { verifyWebhook } from '../index.ts'

/** the example of the Standard Webhooks libraries */
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const body = '{"test": 2432232314}'
const headers = {
  'Webhook-Id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  'Webhook-Timestamp': '1614265330',
  'Webhook-Signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
}
const then = { nowMs: 1_614_265_330_000 }
const old = 'whsec_b2xkIHNlY3JldA=='

it.each<[string, string | Uint8Array, Headers | Record<string, string | string[]>, string | string[]]>([
  ['text', body, headers, secret],
  ['bytes', Buffer.from(body), headers, secret],
  ['headers of the web', body, new Headers(headers), secret],
  ['headers of Node', body, { ...headers, 'Webhook-Signature': [headers['Webhook-Signature']] }, secret],
  ['one of several secrets', body, headers, [old, secret]],
  [
    'one of several signatures',
    body,
    { ...headers, 'Webhook-Signature': `v1a,x v1,AAAA v1,§ ${headers['Webhook-Signature']}` },
    secret,
  ],
])('takes %s', async (_, content, given, key) => {
  expect(await verifyWebhook(content, given, key, then)).toEqual({ test: 2432232314 })
})

it.each<[string, string, Record<string, string>, string, number]>([
  ['was changed', body.replace('4', '5'), headers, secret, 0],
  ['has another id', body, { ...headers, 'Webhook-Id': 'msg_other' }, secret, 0],
  ['has another time', body, { ...headers, 'Webhook-Timestamp': '1614265331' }, secret, 0],
  ['has no time', body, { ...headers, 'Webhook-Timestamp': 'now' }, secret, 0],
  ['has no signature', body, { ...headers, 'Webhook-Signature': '' }, secret, 0],
  ['has a signature of another kind', body, { ...headers, 'Webhook-Signature': 'v2,AAAA' }, secret, 0],
  ['has no headers', body, {}, secret, 0],
  ['is signed with another secret', body, headers, old, 0],
  ['is old', body, headers, secret, 301_000],
  ['is of the future', body, headers, secret, -301_000],
])('refuses what %s', async (_, content, given, key, later) => {
  const nowMs = then.nowMs + later
  await expect(verifyWebhook(content, given, key, { nowMs })).rejects.toMatchObject({ code: 'unauthenticated' })
})

it('says when the secret is none', async () => {
  await expect(verifyWebhook(body, headers, 'whsec_', then)).rejects.toMatchObject({ code: 'settings_invalid' })
})
