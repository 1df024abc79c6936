import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { derivedKey } from './derived-keys.ts'
import { createSealedTokens } from './sealed-token.ts'

const clock = { nowMs: 1_700_000_000_000 }
const schema = z.object({ returnTo: z.string() })
const open = (secret: string, purpose: Parameters<typeof derivedKey>[1]) =>
  createSealedTokens(derivedKey(secret, purpose), schema, () => clock.nowMs)
const secret = 's'.repeat(32)
const tokens = open(secret, 'provider-transaction')

describe('a sealed token', () => {
  it('comes back as it was, and is unreadable on the way', async () => {
    const token = await tokens.seal({ returnTo: '/app/secret-path' }, 1_000)
    expect(await tokens.open(token)).toEqual({ returnTo: '/app/secret-path' })
    expect(Buffer.from(token.split('.')[3] ?? '', 'base64url').toString()).not.toContain('secret-path')
  })
  it('that is late, changed, of another purpose or another installation is none', async () => {
    const token = await tokens.seal({ returnTo: '/' }, 1_000)
    const parts = token.split('.')
    const flipped = (parts[3]?.[0] === 'A' ? 'B' : 'A') + parts[3]?.slice(1)
    const foreign = [
      '',
      'x',
      [...parts.slice(0, 3), flipped, parts[4]].join('.'),
      await open(secret, 'magic-link').seal({ returnTo: '/' }, 1_000),
      await open('t'.repeat(32), 'provider-transaction').seal({ returnTo: '/' }, 1_000),
    ]
    for (const one of foreign) await expect(tokens.open(one)).rejects.toMatchObject({ code: 'sign_in_expired' })
    clock.nowMs += 2_000
    await expect(tokens.open(token)).rejects.toMatchObject({ code: 'sign_in_expired' })
  })
})
