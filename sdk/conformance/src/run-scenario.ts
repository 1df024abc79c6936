import { isDeepStrictEqual } from 'node:util'
import { eventually } from '@omium/dev/testing'
import type { Answer, Driver } from './drivers.ts'
import { early, fits, late, type Network } from './network.ts'
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
  { driver, network, prefix, turn = 0 }: { driver: Driver; network: Network; prefix: string; turn?: number },
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
        const given = filled(step.with ?? {}, known)
        const answer = step.once
          ? await calledOnce(step, { driver, network, given, turn: turn + index, wrong })
          : await driver.call(step.call, given)
        return outcome(step, answer, known, wrong)
      }
      const result = await (step.eventually ? eventually(attempt, { timeoutMs: eventuallyMs }) : attempt())
      if (step.as) known[step.as] = result
    }
  }
}

type Call = Extract<Step, { call: string }>

/** longer than the gateway takes; what comes later is too late */
const tooLateS = 1
const patientS = 30

interface Receipt {
  readonly deduplicated?: boolean
  readonly position?: string
}

/**
 * Calls while the network loses the request before the gateway hears of it, and its answer after the gateway has done it. All
 * tries have one key; what is granted says the same each time, and once that it was done by it. What tells a secret is granted
 * once: whoever asks again is refused with a code.
 * @param turn which of its ways the network has
 */
const calledOnce = async (
  { call, error }: Call,
  at: { driver: Driver; network: Network; given: unknown; turn: number; wrong: (came: unknown) => Error },
): Promise<Answer> => {
  const { driver, network, given, turn, wrong } = at
  const mishaps = [early[turn % early.length], late[turn % late.length]].filter((one) => one !== undefined)
  network.mishaps(mishaps)
  const answer = await driver.call(call, given, { timeout: mishaps.includes('late') ? tooLateS : patientS })
  const keys = new Set(network.sent.map(({ idempotencyKey }) => idempotencyKey))
  const met = network.sent.flatMap(({ mishap }) => (mishap ? [mishap] : []))
  const answers = network.sent.flatMap((sent) => (sent.answer ? [sent.answer] : []))
  const granted = answers.filter(({ status }) => status < 300).map(({ text }) => JSON.parse(text) as Receipt)
  const [first, ...others] = granted.map(({ deduplicated, position, ...rest }) => rest)
  const done = granted.filter(({ deduplicated = false }) => !deduplicated).length
  const says = granted.every(({ deduplicated }) => deduplicated !== undefined)
  const isOnce = error === undefined ? granted.length === answers.length && (done === 1 || !says) : granted.length === 1
  const good =
    isDeepStrictEqual(met, mishaps) &&
    keys.size === 1 &&
    !keys.has(undefined) &&
    answers.length > 1 &&
    others.every((other) => isDeepStrictEqual(other, first)) &&
    isOnce
  if (!good) throw wrong({ answer, network: network.sent })
  network.calm()
  return answer
}

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
