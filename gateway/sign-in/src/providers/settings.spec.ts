import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { createProviders } from './providers.ts'
import { readSignInSettings } from './settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'omium-providers-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (text: string): string => {
  const path = join(folder, 'providers.yaml')
  writeFileSync(path, text)
  return path
}
const options = { env: {}, nowMs: () => 0, timeoutMs: 100 }

it('reads providers, and their secrets from where the file says', () => {
  const settings = readSignInSettings(
    file(`
version: 1
providers:
  google: { kind: google, clientId: a, clientSecret: env:GOOGLE_CLIENT_SECRET }
  corp: { kind: oidc, label: Example Corp, issuer: https://login.example, clientId: b, trustedAddresses: [Corp.Example] }
`),
  )
  const providers = createProviders(settings, { ...options, env: { GOOGLE_CLIENT_SECRET: 'x' } })
  expect([...providers.values()].map(({ id, label }) => [id, label])).toEqual([
    ['google', 'Google'],
    ['corp', 'Example Corp'],
  ])
  for (const provider of providers.values()) provider.close()
  expect(() => createProviders(settings, options)).toThrow(/GOOGLE_CLIENT_SECRET is not set/)
  expect(settings.providers['corp']).toMatchObject({ trustedAddresses: ['corp.example'] })
  expect(readSignInSettings(undefined).providers).toEqual({})
})

it('says everything that is wrong at once, and takes no secret in the file', () => {
  const wrong = file(`
version: 1
providers:
  corp: { kind: oidc, issuer: ftp://x, clientId: b, clientSecret: hunter2, trustedAddresses: [] , extra: 1 }
  Bad Name: { kind: google, clientId: a, clientSecret: env:A }
`)
  expect(() => readSignInSettings(wrong)).toThrow(
    expect.objectContaining({
      code: 'settings_invalid',
      message: expect.stringMatching(/issuer[\s\S]*clientSecret[\s\S]*extra/),
    }),
  )
  expect(() => readSignInSettings(wrong)).not.toThrow(/hunter2/)
  expect(() => readSignInSettings(join(folder, 'none.yaml'))).toThrow(/cannot be read/)
})
