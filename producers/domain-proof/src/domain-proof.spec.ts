import { createSocket, type Socket } from 'node:dgram'
import type { AddressInfo } from 'node:net'
import { breakerCounts } from '@omium/resilience'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDomainProof, type DomainProof } from './domain-proof.ts'

/** Says of every name that there is no such one, except of `dead.example`, of which it says nothing. */
let server: Socket
let proof: DomainProof
const asked: string[] = []

beforeAll(async () => {
  server = createSocket('udp4', (query, { port, address }) => {
    const [length = 0] = query.subarray(12)
    const name = query.subarray(13, 13 + length).toString()
    asked.push(name)
    if (name === 'dead') return
    // an answer, with recursion; there is no such name (RFC 1035, section 4.1.1)
    query.writeUInt16BE(0x8183, 2)
    server.send(query, port, address)
  })
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  // each try at the dead one takes so long, and so may the answers of the other
  proof = createDomainProof({ servers: [`127.0.0.1:${port}`], timeoutMs: 1_000 })
})
afterAll(() => {
  proof.close()
  server.close()
})
const times = (name: string) => asked.filter((one) => one === name).length

it('asks once more when nobody answers; that there is none is an answer', async () => {
  expect(await proof.texts('none.example')).toEqual([])
  expect(times('none')).toBe(1)
  await expect(proof.texts('dead.example')).rejects.toBeDefined()
  expect(times('dead')).toBeGreaterThan(1)
})

it('leaves a domain alone that does not answer, and that one only', async () => {
  await Promise.all(Array.from({ length: 5 }, () => proof.texts('dead.example').catch(() => undefined)))
  const before = times('dead')
  await expect(proof.texts('dead.example')).rejects.toMatchObject({ code: 'unavailable' })
  expect(times('dead')).toBe(before)
  expect(await proof.texts('none.example')).toEqual([])
  expect(breakerCounts().get('DNS of domains')).toMatchObject({ open: 1, closed: 1 })
})
