import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach } from 'vitest'
import { main } from './index.ts'

/** For the specs of this package: the command line against a gateway that answers what a spec says. */

export interface Asked {
  /** `METHOD /path`, without its query */
  readonly request: string
  readonly body: unknown
  readonly authorization: string | undefined
}

export interface Invocation {
  readonly stdin?: string
  /** where the gateway is, and a key, unless given */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** a person sits at the terminal, and types this at each question */
  readonly typed?: (question: string) => string
}

export interface ScriptedGateway {
  /** by request: JSON, a list of server-sent events, a {@link reply}, or a function that makes one; what is not there is a 404 */
  readonly answers: Record<string, unknown>
  /** what the gateway was asked, in order */
  readonly asked: Asked[]
  /** what the last invocation printed */
  readonly lines: { out: string[]; err: string[] }
  url(): string
  /** @returns the exit code */
  run(argv: readonly string[], more?: Invocation): Promise<number>
  omium(...argv: string[]): Promise<number>
}

class Reply {
  readonly status: number
  readonly body: unknown

  constructor(status: number, body: unknown) {
    this.status = status
    this.body = body
  }
}
/** An answer of another status than 200. */
export const reply = (status: number, body: unknown): Reply => new Reply(status, body)

export const problem = (status: number, code: string, detail = 'no such thing'): Reply =>
  reply(status, { type: 'x', title: 'x', status, detail, code, retryable: false })

const unknown = problem(404, 'execution_unknown')

/** To be called where specs are described: each spec has a gateway of its own. */
export const scriptedGateway = (): ScriptedGateway => {
  const answers: Record<string, unknown> = {}
  const asked: Asked[] = []
  const lines: ScriptedGateway['lines'] = { out: [], err: [] }
  let url = ''

  const server = () =>
    createServer((request, response) => {
      let text = ''
      request.on('data', (chunk) => {
        text += chunk
      })
      request.on('end', () => {
        const name = `${request.method} ${(request.url ?? '').split('?')[0]}`
        const body = text === '' ? undefined : (JSON.parse(text) as unknown)
        const one = { request: name, body, authorization: request.headers.authorization }
        asked.push(one)
        const scripted = answers[name]
        const answer: unknown = (typeof scripted === 'function' ? scripted(one) : scripted) ?? unknown
        if (Array.isArray(answer)) {
          response.writeHead(200, { 'content-type': 'text/event-stream' })
          response.end(answer.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''))
          return
        }
        const { status, body: json } = answer instanceof Reply ? answer : reply(200, answer)
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json))
      })
    })
  let running: ReturnType<typeof server>
  beforeEach(async () => {
    for (const name of Object.keys(answers)) delete answers[name]
    asked.length = 0
    running = server()
    await new Promise<void>((resolve) => running.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(running.address() as AddressInfo).port}`
  })
  afterEach(async () => {
    running.closeAllConnections()
    await new Promise((resolve) => running.close(resolve))
  })

  const run: ScriptedGateway['run'] = (argv, { stdin = '', env, cwd = '/', typed } = {}) => {
    const out: string[] = []
    const err: string[] = []
    Object.assign(lines, { out, err })
    return main([...argv], {
      out: (line) => out.push(line),
      err: (line) => err.push(line),
      draw: (picture) => err.push(picture),
      readStdin: async () => stdin,
      env: env ?? { OMIUM_URL: url, OMIUM_API_KEY: 'om_test_key' },
      cwd,
      interactive: typed !== undefined,
      ...(typed && { typed }),
      interrupted: new AbortController().signal,
    })
  }
  return { answers, asked, lines, url: () => url, run, omium: (...argv) => run(argv) }
}
