import { expect, it } from 'vitest'
import { emailAddress } from './model.ts'

it.each([
  ['Ada@Example.com', 'ada@example.com'],
  [' ada@example.com\t', 'ada@example.com'],
  ['\u00a0ada+x@example.com', 'ada+x@example.com'],
])('%j is the address %s', (typed, address) => expect(emailAddress.parse(typed)).toBe(address))

// U+212A is `k` in lower case: it must not become somebody else's address
it.each([
  '\u212Aim@example.com',
  'kim@\u212A.com',
  'kim@ex\u0430mple.com',
  'k\u0131m@example.com',
  'a@b',
  'a b@c.de',
  '',
])('%j is none', (typed) => expect(emailAddress.safeParse(typed).success).toBe(false))
