import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { apiKeyBytes, apiKeyIdBytes, formatApiKey } from '@omium/schemas'
import { omium } from '@omium/sdk'
import type { Flags } from './flags.ts'
import { type BenchStack, startBenchStack, startBenchWorker, startMeasuredGateway } from './stack.ts'
import { table } from './table.ts'
import { type Comparison, compare } from './two-samples.ts'

/**
 * Whether the time that an answer takes tells what the answer does not: who is a user, which ids there are, what is wrong with a
 * key. Both of a pair are asked in each round, in an order that is drawn, over one connection.
 */
interface Pair {
  readonly what: string
  readonly a: Side
  readonly b: Side
  /** why it may differ */
  readonly allowed?: string
}

interface Side {
  readonly name: string
  /** the status that it has to have. @param round from 0 */
  readonly status: number
  ask(round: number): Promise<Answer>
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface TimingResult {
  readonly rounds: number
  readonly rows: readonly (Comparison & {
    readonly what: string
    readonly a: string
    readonly b: string
    readonly allowed?: string
  })[]
}

interface Ask {
  readonly key?: string
  readonly cookie?: string
  readonly body?: unknown
}

/** mails that one address gets within ten minutes; the first of them signs in */
const mailsPerAddress = 5
/** the gateway remembers what it has heard of a key for so long, and some more */
const forgottenMs = 3_500
const warmUps = 20

/** Somebody else each time, so that nobody's share of attempts is used up. */
const visitor = (): string => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(1, 255)}`

const connect = (url: string) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ask = (method: string, path: string, { key, cookie, body }: Ask = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const headers = {
        accept: 'application/json',
        'sec-fetch-site': 'same-origin',
        'x-forwarded-for': visitor(),
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...(cookie !== undefined && { cookie }),
        ...(text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      }
      const sent = request(`${url}${path}`, { method, agent, headers }, (response) => {
        let answer = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          answer += chunk
        })
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text: answer }))
      })
      sent.on('error', reject)
      sent.end(text)
    })
  const good = async (method: string, path: string, more?: Ask): Promise<Answer> => {
    const answer = await ask(method, path, more)
    if (answer.status >= 400) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`)
    return answer
  }
  return { ask, good, close: () => agent.destroy() }
}
type Gateway = ReturnType<typeof connect>

const cookiesOf = ({ headers }: Answer): string =>
  (headers['set-cookie'] ?? []).map((line) => line.split(';')[0] ?? '').join('; ')

/** Signs somebody in for the first time. @returns their cookies */
const signIn = async (
  { good }: Gateway,
  email: string,
  linkTo: (email: string) => Promise<string>,
): Promise<string> => {
  const asked = await good('POST', '/auth/magic-links', { body: { email } })
  const { pathname, search } = new URL(await linkTo(email))
  return cookiesOf(await good('GET', `${pathname}${search}`, { cookie: cookiesOf(asked) }))
}

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** A key of the same id with another secret, and a checksum that fits. */
const withOtherSecret = (key: string): string => {
  const [, environment, id = ''] = key.split('_')
  let number = 0n
  for (const letter of id) number = number * 62n + BigInt(alphabet.indexOf(letter))
  const idBytes = Buffer.from(number.toString(16).padStart(2 * apiKeyIdBytes, '0'), 'hex')
  const secret = randomBytes(apiKeyBytes - apiKeyIdBytes)
  return formatApiKey(environment as 'live' | 'test', Buffer.concat([idBytes, secret]))
}
const mistyped = (key: string): string => `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`

/** What there is to be found out, and what there is not. */
const prepare = async (
  stack: BenchStack,
  gateway: Gateway,
  { rounds, mails, say }: { rounds: number; mails: ReadonlyMap<string, string>; say: (line: string) => void },
): Promise<Pair[]> => {
  const { good, ask } = gateway
  const linkTo = async (email: string): Promise<string> => {
    for (const deadline = performance.now() + 30_000; performance.now() < deadline; await delay(5)) {
      const link = mails.get(email)
      if (link !== undefined) return link
    }
    throw new Error(`no mail came to ${email}`)
  }
  const local = stack.environment['OMIUM_API_KEY'] ?? ''
  const client = omium({ url: stack.environment['OMIUM_URL'] ?? '', apiKey: local })
  const run = await client.start('bench-ten-steps', { start: 0 })
  await run.result()

  const count = Math.ceil((rounds + warmUps) / (mailsPerAddress - 1))
  const addresses = (kind: string) => Array.from({ length: count }, (_, i) => `${kind}${i}.${randomUUID()}@example.com`)
  const [users, nobodies] = [addresses('k'), addresses('u')]
  const sessions: string[] = []
  for (const [i, email] of users.entries()) {
    sessions.push(await signIn(gateway, email, linkTo))
    await good('POST', '/auth/magic-links', { body: { email: nobodies[i] } })
  }
  say(`${count} people have signed in`)
  const keyOf = async (more: Ask, ...permissions: string[]): Promise<{ id: string; key: string }> =>
    JSON.parse((await good('POST', '/v1/keys', { ...more, body: { name: 'b', scopes: { permissions } } })).text)
  const [first = '', second = ''] = sessions
  const { key: stranger } = await keyOf({ cookie: first }, 'executions:read', 'keys:read', 'members:read')
  const { userId } = JSON.parse((await good('GET', '/auth/session', { cookie: second })).text) as { userId: string }

  // one for each round: what the gateway remembers of a key must not be what is measured
  const live: string[] = []
  const revoked: string[] = []
  const unknown: string[] = []
  let someKey = ''
  for (let i = 0; i < rounds + warmUps; i++) {
    live.push((await keyOf({ key: local }, 'platform:read')).key)
    const { id, key } = await keyOf({ key: local }, 'platform:read')
    await good('DELETE', `/v1/keys/${id}`, { key: local })
    revoked.push(key)
    unknown.push(formatApiKey('test', randomBytes(apiKeyBytes)))
    someKey = id
  }
  say(`${2 * live.length} keys were made, and half of them revoked`)

  const of = <T>(list: readonly T[], round: number): T => list[round % list.length] as T
  const me = (key: string) => ask('GET', '/v1/me', { key })
  const mail = (email: string) => ask('POST', '/auth/magic-links', { body: { email } })
  const invite = (email: string) => ask('POST', '/v1/invitations', { key: local, body: { email, role: 'viewer' } })
  const erase = (email: string) => ask('POST', '/v1/privacy/erasures', { key: local, body: { email } })
  const accept = (tenant: string) => ask('POST', `/v1/me/invitations/${tenant}/inv_none/accept`, { cookie: first })
  const look = (path: string) => ask('GET', path, { key: stranger })
  const lookedFor = (what: string, path: string, id: string): Pair => ({
    what,
    a: { name: 'foreign', status: 404, ask: () => look(`${path}/${id}`) },
    b: { name: 'none', status: 404, ask: () => look(`${path}/${id.slice(0, -4)}zzzz`) },
  })
  return [
    // first: the session's token lives for minutes
    {
      what: 'accepting an invitation',
      a: { name: 'a tenant', status: 404, ask: () => accept('ten_local') },
      b: { name: 'none', status: 404, ask: () => accept('ten_nowhere') },
    },
    {
      what: 'asking for a link by mail',
      a: { name: 'a user', status: 202, ask: (round) => mail(of(users, round)) },
      b: { name: 'nobody', status: 202, ask: (round) => mail(of(nobodies, round)) },
    },
    {
      what: 'inviting an address',
      a: { name: 'a user', status: 201, ask: (round) => invite(of(users, round)) },
      b: { name: 'nobody', status: 201, ask: (round) => invite(of(nobodies, round)) },
    },
    {
      what: 'erasing an address',
      a: { name: 'a user', status: 201, ask: (round) => erase(of(users, round)) },
      b: { name: 'nobody', status: 201, ask: (round) => erase(of(nobodies, round)) },
    },
    lookedFor('reading a run', '/v1/executions', run.id),
    lookedFor('reading a key', '/v1/keys', someKey),
    lookedFor('reading a member', '/v1/members', userId),
    {
      what: 'showing a key',
      a: { name: 'wrong secret', status: 401, ask: (round) => me(withOtherSecret(of(live, round))) },
      b: { name: 'unknown id', status: 401, ask: (round) => me(of(unknown, round)) },
    },
    {
      what: 'showing a key',
      a: { name: 'revoked', status: 401, ask: (round) => me(of(revoked, round)) },
      b: { name: 'wrong secret', status: 401, ask: (round) => me(withOtherSecret(of(live, round))) },
    },
    {
      what: 'showing a key',
      a: { name: 'wrong checksum', status: 401, ask: (round) => me(mistyped(of(unknown, round))) },
      b: { name: 'unknown id', status: 401, ask: (round) => me(of(unknown, round)) },
      allowed: 'anybody can compute the checksum',
    },
  ]
}

const timed = async ({ name, status, ask }: Side, what: string, round: number): Promise<number> => {
  const begin = performance.now()
  const answer = await ask(round)
  const took = performance.now() - begin
  if (answer.status !== status) throw new Error(`${what}, ${name}: ${answer.status} ${answer.text}`)
  return took
}

const measure = async (pair: Pair, rounds: number): Promise<Comparison> => {
  const { what, a, b } = pair
  const taken: [number, number][] = []
  for (let round = 0; round < rounds + warmUps; round++) {
    const aFirst = randomInt(2) === 0
    const first = await timed(aFirst ? a : b, what, round)
    const second = await timed(aFirst ? b : a, what, round)
    if (round >= warmUps) taken.push(aFirst ? [first, second] : [second, first])
  }
  return compare(taken)
}

export const benchTiming = async (flags: Flags, say: (line: string) => void): Promise<TimingResult> => {
  const rounds = flags.runs
  const mails = new Map<string, string>()
  const stack = await startBenchStack({
    fsync: false,
    services: 'platform',
    say,
    onMail: ({ to, link }) => link !== undefined && mails.set(to, link),
  })
  try {
    await startBenchWorker(stack, 'worker')
    const { url } = await startMeasuredGateway(stack, {
      OMIUM_RATE_SENSITIVE: '0',
      OMIUM_TRUSTED_PROXIES: '127.0.0.1',
    })
    const gateway = connect(url)
    try {
      const pairs = await prepare(stack, gateway, { rounds, mails, say })
      const rows: TimingResult['rows'][number][] = []
      for (const pair of pairs) {
        await delay(forgottenMs)
        const found = await measure(pair, rounds)
        const { what, a, b, allowed } = pair
        rows.push({ what, a: a.name, b: b.name, ...(allowed !== undefined && { allowed }), ...found })
        say(`${what}, ${a.name} and ${b.name}: ${found.differs ? 'differs' : 'the same'}`)
      }
      return { rounds, rows }
    } finally {
      gateway.close()
    }
  } finally {
    await stack.stop()
  }
}

/** Whether something can be told that should not be. */
export const tells = ({ rows }: TimingResult): boolean => rows.some(({ differs, allowed }) => differs && !allowed)

const micros = (ms: number): number => Math.round(ms * 1_000)

export const timingText = (result: TimingResult): string =>
  [
    `over HTTP, ${result.rounds} rounds; differs: by rank (p < 0.001) and by the medians (99% of resamplings on one side of zero)`,
    '',
    table(
      result.rows.map(({ what, a, b, medianA, medianB, difference, interval, p, differs, allowed }) => ({
        what,
        a,
        b,
        'a ms': medianA,
        'b ms': medianB,
        'b - a us': micros(difference),
        '99% from us': micros(interval[0]),
        'to us': micros(interval[1]),
        p: p.toFixed(4),
        '': differs ? (allowed === undefined ? 'DIFFERS' : `differs: ${allowed}`) : 'the same',
      })),
    ),
  ].join('\n')
