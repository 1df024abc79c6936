import { expect, it } from 'vitest'
import { createRedaction } from './redaction.ts'

const redact = createRedaction(['canary-key-1', 'abc', 'canary-key-1-longer'])

it.each([
  ['a known key', 'the key canary-key-1 is bad', 'the key [redacted] is bad'],
  ['the longer of two known keys', 'canary-key-1-longer', '[redacted]'],
  ['an OpenAI key', 'Incorrect API key: sk-proj-abcdefghijklmnop1234', 'Incorrect API key: [redacted]'],
  ['a key of ours', 'om_test_0123456789abcdef0123', '[redacted]'],
  ['a Google key', `key=AIza${'x'.repeat(35)}`, 'key=[redacted]'],
  ['an AWS key id', 'AKIAIOSFODNN7EXAMPLE', '[redacted]'],
  ['a bearer token', 'authorization: Bearer abcdef.ghijkl-mnopq', 'authorization: [redacted]'],
  ['a password', 'user=x password="hunter22", next', 'user=x [redacted]", next'],
  ['a private key', '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----', '[redacted]'],
])('masks %s', (_what, text, masked) => {
  expect(redact(text)).toBe(masked)
})

it('leaves ordinary text alone, and does not take a short secret for one', () => {
  const text = 'abc: the risk-free task skipped; bearer of news; secretary: Ann'
  expect(redact(text)).toBe(text)
})
