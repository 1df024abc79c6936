import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { main } from '@omium/cli'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { operationOf, readCalls, readCommands, readOperations, readWithout } from '../src/calls.ts'
import { clientNames, startDriver } from '../src/drivers.ts'
import { type Asked, startEcho } from '../src/echo.ts'

/** All clients have a call for each operation of the API that is theirs, and ask for it in the same words. */

const calls = readCalls()
const operations = readOperations()
const commands = readCommands()

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

it.each([
  ['call', calls.map(({ asks }) => asks)],
  ['command', commands.map(([, asks]) => asks)],
] as const)('every operation of the API has a %s, or a reason why not', (what, covered) => {
  const known = new Set([...covered, ...readWithout(what).flatMap((group) => group.operations)])
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

describe('omium', () => {
  let echo: Awaited<ReturnType<typeof startEcho>>
  let cwd: string
  beforeAll(async () => {
    echo = await startEcho()
    cwd = mkdtempSync(join(tmpdir(), 'omium-parity-'))
  })
  afterAll(async () => {
    await echo.close()
    rmSync(cwd, { recursive: true })
  })

  it.each(commands)('%s asks for %s', async (command, asks) => {
    echo.asked.length = 0
    const said: string[] = []
    const say = (line: string): void => void said.push(line)
    await main(command.split(' '), {
      out: say,
      err: say,
      draw: () => undefined,
      readStdin: async () => 'om_test_none',
      env: { OMIUM_URL: echo.url, OMIUM_API_KEY: 'om_test_none', OMIUM_HOME: cwd },
      cwd,
      interactive: false,
      interrupted: new AbortController().signal,
    })
    const requests = echo.asked.map(({ request }) => operationOf(request, operations))
    expect(requests, said.join('\n')).toContain(asks)
  })
})
