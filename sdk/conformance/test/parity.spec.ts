import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { operationOf, readCalls, readOperations, readWithoutCall } from '../src/calls.ts'
import { clientNames, startDriver } from '../src/drivers.ts'
import { type Asked, startEcho } from '../src/echo.ts'

/** All clients have a call for each operation of the API that is theirs, and ask for it in the same words. */

const calls = readCalls()
const operations = readOperations()
const withoutCall = readWithoutCall()
const uncalled = withoutCall.flatMap((group) => group.operations)

/** by client, then by call */
const asked = new Map<string, Map<string, Asked | string>>()

const askAll = async (client: string): Promise<void> => {
  const echo = await startEcho()
  const driver = await startDriver(client, { OMIUM_URL: echo.url, OMIUM_API_KEY: 'om_test_none' })
  const answers = new Map<string, Asked | string>()
  try {
    for (const { call, with: given } of calls) {
      echo.asked.length = 0
      const answer = await driver.call(call, given)
      // a stream is opened after a look at its run
      const last = echo.asked.at(-1)
      answers.set(call, 'error' in answer || !last ? JSON.stringify(answer) : last)
    }
  } finally {
    await driver.close()
    await echo.close()
  }
  asked.set(client, answers)
}

beforeAll(() => Promise.all(clientNames.map(askAll)), 120_000)
afterAll(() => asked.clear())

it('every operation of the API has a call, or a reason why not', () => {
  const known = new Set([...calls.map(({ asks }) => asks), ...uncalled])
  expect(operations.filter((name) => !known.has(name))).toEqual([])
  expect([...known].filter((name) => !operations.includes(name))).toEqual([])
})

describe.each(clientNames)('%s', (client) => {
  it.each(calls)('$call asks for $asks', ({ call, asks }) => {
    const request = asked.get(client)?.get(call)
    expect(typeof request === 'object' ? operationOf(request.request, operations) : request).toBe(asks)
    expect(request).toMatchObject({ hasKey: !asks.startsWith('GET '), userAgent: expect.stringMatching(/^omium-/) })
  })
})

it.each(calls)('$call says the same in all clients', ({ call }) => {
  const [first, ...others] = clientNames.map((client) => {
    const request = asked.get(client)?.get(call)
    return typeof request === 'object' ? { ...request, userAgent: '' } : request
  })
  for (const other of others) expect(other).toEqual(first)
})
