import { randomBytes } from 'node:crypto'
import { createLocalKms } from '@omium/personal-data'
import { Webhook } from 'standardwebhooks'
import { expect, it } from 'vitest'
import { createWebhookSecrets, signMessage } from './webhook-secrets.ts'

const secrets = createWebhookSecrets(createLocalKms([{ id: 'm1', key: randomBytes(32) }]))

it('sign what the library of the standard verifies, with every secret in force', async () => {
  const made = [await secrets.create('ten_a', 'whk_1'), await secrets.create('ten_a', 'whk_1')]
  const seconds = Math.floor(Date.now() / 1000)
  const body = JSON.stringify({ type: 'webhook.test', data: { text: 'ü' } })
  const signature = signMessage(
    made.map(({ secret }) => secret),
    { id: 'msg_1', seconds, body },
  )
  const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': String(seconds), 'webhook-signature': signature }
  for (const { secret } of made) expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body))
  const [other] = [await secrets.create('ten_a', 'whk_1')]
  expect(() => new Webhook(other.secret).verify(body, headers)).toThrow()
  expect(() => new Webhook(made[0]?.secret ?? '').verify(`${body} `, headers)).toThrow()
})

it('are sealed, and bound to their endpoint', async () => {
  const { secret, sealed } = await secrets.create('ten_a', 'whk_1')
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
  expect(Buffer.from(sealed, 'base64url').toString('latin1')).not.toContain(secret.slice(6))
  expect(await secrets.open('ten_a', 'whk_1', sealed)).toBe(secret)
  await expect(secrets.open('ten_b', 'whk_1', sealed)).rejects.toMatchObject({ code: 'internal' })
  await expect(secrets.open('ten_a', 'whk_2', sealed)).rejects.toMatchObject({ code: 'internal' })
})
