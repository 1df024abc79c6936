import { expect, it } from 'vitest'
import { domainName, emailAddress } from '../index.ts'

it('one address is written in one way, and looks like no other', () => {
  expect(emailAddress.parse(' Jane.Doe@CORP.example ')).toBe('jane.doe@corp.example')
  const lookalikes = [
    '\u212aim@corp.example',
    'jane@c\u043erp.example',
    'j\u0430ne@corp.example',
    'jane@corp\u3002example',
  ]
  for (const address of [...lookalikes, 'jane@corp.example\u0000', 'a@b@corp.example', 'jane@corp.example\nx: y'])
    expect(emailAddress.safeParse(address).success, address).toBe(false)
  for (const domain of ['c\u043erp.example', '\u212aorp.example', 'corp.example.', '*.example', 'corp_.example'])
    expect(domainName.safeParse(domain).success, domain).toBe(false)
})
