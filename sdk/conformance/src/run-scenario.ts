import { isDeepStrictEqual } from 'node:util'
import { eventually } from '@omium/dev/testing'
import type { Answer, Driver } from './drivers.ts'
import { fits, type Network } from './network.ts'
import { filled, type Scenario, type Step } from './scenarios.ts'

/** Whether what came has what is expected; lists have to be as long, members that are not named do not count. */
export const holds = (expected: unknown, came: unknown): boolean => {
  if (Array.isArray(expected))
    return Array.isArray(came) && came.length === expected.length && expected.every((one, i) => holds(one, came[i]))
  if (typeof expected !== 'object' || expected === null) return isDeepStrictEqual(expected, came)
  if (typeof came !== 'object' || came === null) return false
  const { $has, ...members } = expected as Record<string, unknown>
  // `$has`: somewhere in a list
  if ($has !== undefined && !(Array.isArray(came) && came.some((one) => holds($has, one)))) return false
  return Object.entries(members).every(([name, one]) => holds(one, (came as Record<string, unknown>)[name]))
}

const eventuallyMs = 20_000

/** @throws Error saying at which step, what was expected, and what came */
export const runScenario = async (
  { steps }: Scenario,
  { driver, network, prefix }: { driver: Driver; network: Network; prefix: string },
): Promise<void> => {
  const known: Record<string, unknown> = { prefix }
  network.calm()
  for (const [index, step] of steps.entries()) {
    const wrong = (came: unknown): Error =>
      new Error(`step ${index + 1}: ${JSON.stringify(step)}\ncame: ${JSON.stringify(came)}`)
    if ('network' in step) network.trouble(step.network)
    else if ('sent' in step) checkSent(step.sent, network, wrong)
    else {
      const attempt = async (): Promise<unknown> => {
        const answer = await driver.call(step.call, filled(step.with ?? {}, known))
        return outcome(step, answer, known, wrong)
      }
      const result = await (step.eventually ? eventually(attempt, { timeoutMs: eventuallyMs }) : attempt())
      if (step.as) known[step.as] = result
    }
  }
}

type Call = Extract<Step, { call: string }>

const outcome = (
  { expect, error }: Call,
  answer: Answer,
  known: Readonly<Record<string, unknown>>,
  wrong: (came: unknown) => Error,
): unknown => {
  if ('error' in answer) {
    if (answer.error.code !== error) throw wrong(answer)
    return answer.error
  }
  if (error !== undefined) throw wrong(answer)
  if (expect !== undefined && !holds(filled(expect, known), answer.ok)) throw wrong(answer)
  return answer.ok
}

type Sent = Extract<Step, { sent: unknown }>['sent']

const checkSent = (expected: Sent, network: Network, wrong: (came: unknown) => Error): void => {
  const meant = network.sent.filter(({ request }) => fits(expected.request, request))
  const keys = new Set(meant.map(({ idempotencyKey }) => idempotencyKey ?? 'none'))
  const resumed = meant.map(({ lastEventId }) => lastEventId ?? null)
  const good =
    meant.length === expected.times &&
    (expected.idempotencyKeys === undefined || (keys.size === expected.idempotencyKeys && !keys.has('none'))) &&
    (expected.resumedAfter === undefined || isDeepStrictEqual(resumed, expected.resumedAfter))
  if (!good) throw wrong(network.sent)
}
