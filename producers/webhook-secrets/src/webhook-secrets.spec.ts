import { randomBytes } from 'node:crypto'
import { createLocalKms } from '@omium/personal-data'
import { Webhook } from 'standardwebhooks'
import { expect, it } from 'vitest'
import { newSecret, signMessage } from './standard-webhooks.ts'
import { createWebhookSecrets, isWebhookSecretId } from './webhook-secrets.ts'

/** the table, by what the statements begin with */
const inMemory = () => {
  const stored: { id: string; tenant: string; owner: string; wrapped: Buffer; inForceAt: number | null }[] = []
  const secrets = createWebhookSecrets({
    kms: createLocalKms([{ id: 'm1', key: randomBytes(32) }]),
    query: async (_tenant, text, values) => {
      if (text.startsWith('INSERT')) {
        const [id, tenant, owner, wrapped] = values as [string, string, string, Buffer]
        stored.push({ id, tenant, owner, wrapped, inForceAt: null })
      }
      const [tenant, owner, id, offset] = values
      const fits = (row: (typeof stored)[number]) => row.tenant === tenant && row.owner === owner
      if (text.startsWith('UPDATE'))
        for (const row of stored.filter((one) => fits(one) && one.id === id))
          row.inForceAt = Math.max(row.inForceAt ?? 0, offset as number)
      const goes = (row: (typeof stored)[number]) =>
        fits(row) &&
        (text.includes('IS NULL') ? row.id === id && row.inForceAt === null : (row.inForceAt ?? 1e9) < (id as number))
      if (text.startsWith('DELETE')) stored.splice(0, stored.length, ...stored.filter((row) => !goes(row)))
      return { rows: stored.filter((row) => fits(row) && row.id === id) }
    },
  })
  return { stored, secrets }
}

it('sign what the library of the standard verifies, with every secret in force', () => {
  const made = [newSecret(), newSecret()]
  const seconds = Math.floor(Date.now() / 1000)
  const body = JSON.stringify({ type: 'webhook.test', data: { text: 'ü' } })
  const signature = signMessage(made, { id: 'msg_1', seconds, body })
  const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': String(seconds), 'webhook-signature': signature }
  for (const secret of made) expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body))
  expect(() => new Webhook(newSecret()).verify(body, headers)).toThrow()
  expect(() => new Webhook(made[0] as string).verify(`${body} `, headers)).toThrow()
})

it('are kept wrapped, opened for their owner only, and forgotten', async () => {
  const { stored, secrets } = inMemory()
  const id = await secrets.keep('ten_a', 'webhook_endpoint/w', 'whsec_known')
  expect(isWebhookSecretId(id)).toBe(true)
  expect(stored[0]?.wrapped.toString('latin1')).not.toContain('known')
  expect(await secrets.open('ten_a', 'webhook_endpoint/w', id)).toBe('whsec_known')
  for (const [tenant, owner] of [
    ['ten_b', 'webhook_endpoint/w'],
    ['ten_a', 'webhook_endpoint/v'],
    ['ten_a', 'trigger/w'],
  ] as const)
    await expect(secrets.open(tenant, owner, id)).rejects.toMatchObject({ code: 'internal' })
  await secrets.forget('ten_a', 'webhook_endpoint/w', 8)
  expect(stored).toHaveLength(1)
  await secrets.confirm('ten_a', 'webhook_endpoint/w', id, 7)
  await secrets.forget('ten_a', 'webhook_endpoint/w', 8)
  await expect(secrets.open('ten_a', 'webhook_endpoint/w', id)).rejects.toMatchObject({ code: 'internal' })
})

it('do not open in the place of others', async () => {
  const { stored, secrets } = inMemory()
  await secrets.keep('ten_a', 'trigger/t', 'one')
  const other = await secrets.keep('ten_a', 'trigger/t', 'two')
  const [first, second] = stored
  if (first && second) second.wrapped = first.wrapped
  await expect(secrets.open('ten_a', 'trigger/t', other)).rejects.toThrow()
})
