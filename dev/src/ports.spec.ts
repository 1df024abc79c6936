import { expect, it } from 'vitest'
import { freePort, planPorts } from './ports.ts'

it('a port is given once, although nothing listens on it yet', async () => {
  const given: number[] = []
  for (let i = 0; i < 400; i++) given.push(await freePort())
  const { ports } = await planPorts(true)
  const all = [...given, ...Object.values(ports)]
  expect(new Set(all).size).toBe(all.length)
})
