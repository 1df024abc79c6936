import { execFile } from 'node:child_process'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scriptedDns } from '../test/scripted-dns.ts'
import { createResolver } from './resolve.ts'
import { createSafeFetch } from './safe-fetch.ts'
import { checkTarget } from './target.ts'

/** what must never be reached: every connection to 127.0.0.1 counts */
const forbidden = { connections: 0 }
const trap = createTcpServer((socket) => {
  forbidden.connections++
  socket.destroy()
})
/** a receiver at 127.0.0.2, which specs allow */
let handle: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => response.end('ok')
const receiver = createServer((request, response) => handle(request, response))
const dns = scriptedDns()
let port = 0
let trapPort = 0

beforeAll(async () => {
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve))
  trapPort = (trap.address() as AddressInfo).port
  // the same port at both addresses: a name that moves between them moves to the trap
  await new Promise<void>((resolve) => receiver.listen(trapPort, '127.0.0.2', resolve))
  port = trapPort
  await dns.listen()
})
afterAll(async () => {
  trap.close()
  receiver.closeAllConnections()
  receiver.close()
  await dns.close()
})

const rules = { allow: ['127.0.0.2'], ports: [443], http: true }
const fetcher = (own: Partial<typeof rules> = {}) =>
  createSafeFetch({ ...rules, ...own }, createResolver([dns.address()]))
const answering = (answer: (request: IncomingMessage, response: ServerResponse) => void) => {
  handle = answer
}
const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'answered',
    (error: { code: string }) => error.code,
  )

/** hosts that lead, or may lead, inside; PORT is the trap's */
const hostileHosts = [
  // loopback
  '127.0.0.1',
  '127.0.0.1.',
  '127.1.2.3',
  '127.255.255.254',
  'localhost',
  'LOCALHOST',
  'localhost.',
  'any.localhost',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  // this host
  '0.0.0.0',
  '0.1.2.3',
  '[::]',
  // private, shared, link-local
  '10.0.0.1',
  '10.255.255.255',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '100.64.0.1',
  '100.127.255.255',
  '169.254.1.1',
  '[fe80::1]',
  '[fec0::1]',
  '[fc00::1]',
  '[fd12:3456:789a::1]',
  // what tells cloud machines who they are
  '169.254.169.254',
  '169.254.170.2',
  '100.100.100.200',
  '168.63.129.16',
  '[fd00:ec2::254]',
  '192.0.0.192',
  // multicast, broadcast, reserved, documentation, benchmarks
  '224.0.0.1',
  '239.255.255.250',
  '255.255.255.255',
  '240.0.0.1',
  '192.0.2.1',
  '198.51.100.7',
  '203.0.113.7',
  '198.18.0.1',
  '192.88.99.1',
  '[ff02::1]',
  '[2001:db8::1]',
  '[3fff::1]',
  '[100::1]',
  '[2001:2::1]',
  // IPv4 inside IPv6
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[0:0:0:0:0:ffff:7f00:0001]',
  '[::ffff:127.0.0.2]',
  '[::127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  '[2001:0:7f00:1::]',
  '[2001::7f00:1]',
  // an address in other notations
  '2130706433',
  '0x7f000001',
  '0x7f.0.0.1',
  '017700000001',
  '0177.0.0.1',
  '127.1',
  '127.0.1',
  '0',
  '134744072',
  '0x8.8.8.8',
  '%31%32%37.0.0.1',
  '127%2e0%2e0%2e1',
  '１２７.0.0.1',
  '①②⑦.⓪.⓪.①',
  '127。0。0。1',
  'ⓛocalhost',
] as const

const hostileUrls = [
  'http://user@127.0.0.2:PORT/',
  'http://user:password@127.0.0.2:PORT/',
  'http://127.0.0.2:PORT@127.0.0.1:PORT/',
  'http://127.0.0.2:PORT\\@127.0.0.1:PORT/',
  'http:\\\\127.0.0.1:PORT/',
  'http:127.0.0.1:PORT/',
  'http:/127.0.0.1:PORT/',
  'http:///127.0.0.1:PORT/',
  'http://127.0.0.2\t@127.0.0.1:PORT/',
  'http://127.0.0.1:PORT\n/',
  ' http://127.0.0.1:PORT/',
  'http://127.0.0.2 .127.0.0.1:PORT/',
  'http://[::1%25lo]:PORT/',
  'http://[127.0.0.1]:PORT/',
  'http://127.0.0.1:99999/',
  'http://',
  'https://?x',
  '//127.0.0.1:PORT/',
  'file:///etc/hostname',
  'ftp://127.0.0.1:PORT/',
  'gopher://127.0.0.1:PORT/_x',
  'data:text/plain,x',
  'javascript:1',
  'ws://127.0.0.1:PORT/',
  'http+unix://%2Fvar%2Frun%2Fx.sock/',
  '',
] as const

describe('safe fetch', () => {
  it.each([...hostileHosts.flatMap((host) => [`http://${host}:PORT/`, `https://${host}/`]), ...hostileUrls])(
    'refuses %j and reaches nothing',
    async (url) => {
      expect(await codeOf(fetcher()(url.replaceAll('PORT', String(trapPort)), { timeoutMs: 3000 }))).toBe(
        'address_refused',
      )
      expect(forbidden.connections).toBe(0)
    },
  )

  it('refuses what is never called and other forms of an address, whatever is allowed', async () => {
    const open = fetcher({ allow: ['0.0.0.0/0', '::/0'] })
    for (const host of ['169.254.169.254', '168.63.129.16', '[fd00:ec2::254]', '0.0.0.0', '[::]', '[::ffff:127.0.0.2]'])
      expect(await codeOf(open(`http://${host}:${port}/`))).toBe('address_refused')
  })

  it('refuses http and other ports unless they are opened', async () => {
    expect(await codeOf(fetcher({ http: false })(`http://127.0.0.2:${port}/`))).toBe('address_refused')
    expect(() => checkTarget('https://8.8.8.8/', rules)).not.toThrow()
    expect(() => checkTarget('https://8.8.8.8:22/', rules)).toThrow(/port 22/)
    expect(() => checkTarget('https://[2606:4700::1111]/', rules)).not.toThrow()
    expect(() => checkTarget(`https://8.8.8.8/${'x'.repeat(3000)}`, rules)).toThrow(/plain/)
    expect(() => checkTarget('https://hooks.example/a?b#c', rules)).not.toThrow()
    expect(() => createSafeFetch({ ...rules, allow: ['10.0.0.0/99'] })).toThrow(/OMIUM_EGRESS_ALLOW/)
  })

  it('calls a name at the address that was judged, and asks for it once', async () => {
    dns.answers('once.test', [['127.0.0.2'], ['127.0.0.1']])
    answering((request, response) => response.end(`${request.method} ${request.headers.host} ${request.url}`))
    const answer = await fetcher()(`http://once.test:${port}/a%20b?c=d`, { method: 'POST', body: 'x' })
    expect(answer).toMatchObject({ status: 200, truncated: false })
    expect(String(answer.body)).toBe(`POST once.test:${port} /a%20b?c=d`)
    expect(dns.asked('once.test')).toBe(1)
    // now it has moved inside
    expect(await codeOf(fetcher()(`http://once.test:${port}/`))).toBe('address_refused')
    expect(forbidden.connections).toBe(0)
  })

  it('refuses a name one of whose addresses is bad, and does not say which it is', async () => {
    dns.answers('mixed.test', [['127.0.0.2', '127.0.0.1']])
    dns.answers('six.test', [['127.0.0.2', '::1']])
    dns.answers('mapped.test', [['::ffff:127.0.0.1']])
    dns.answers('inside.test', [['10.9.8.7']])
    for (const name of ['mixed', 'six', 'mapped', 'inside'])
      expect(await codeOf(fetcher()(`http://${name}.test:${port}/`))).toBe('address_refused')
    await expect(fetcher()(`https://inside.test/`)).rejects.toThrow(/^inside\.test: not a public address$/)
    expect(await codeOf(fetcher()(`https://nowhere.test/`))).toBe('outside_failed')
    expect(forbidden.connections).toBe(0)
  })

  it('judges each redirect anew', async () => {
    dns.answers('moving.test', [['127.0.0.2'], ['127.0.0.1']])
    const redirects = [
      `http://127.0.0.1:${trapPort}/`,
      `//127.0.0.1:${trapPort}/`,
      `http://localhost:${trapPort}/`,
      `http://2130706433:${trapPort}/`,
      `/\\127.0.0.1:${trapPort}/`,
      `http://moving.test:${trapPort}/`,
      'http://169.254.169.254/latest/meta-data/',
      'file:///etc/hostname',
    ]
    for (const location of redirects) {
      answering((_request, response) => response.writeHead(302, { location }).end())
      const from = location.includes('moving') ? `http://moving.test:${port}/` : `http://127.0.0.2:${port}/`
      expect(await codeOf(fetcher()(from, { redirects: 3 }))).toBe('address_refused')
      expect(await fetcher()(`http://127.0.0.2:${port}/`)).toMatchObject({ status: 302 })
    }
    expect(forbidden.connections).toBe(0)
  })

  it('follows as many redirects as it may, and tells another origin nothing', async () => {
    dns.answers('other.test', [['127.0.0.2']])
    const seen: (string | undefined)[] = []
    answering((request, response) => {
      seen.push(request.headers.authorization)
      const location = { '/a': '/b', '/b': `http://other.test:${port}/c` }[request.url ?? '']
      if (location) response.writeHead(307, { location })
      response.end(request.url)
    })
    const to = `http://127.0.0.2:${port}/a`
    const headers = { authorization: 'secret' }
    const answer = await fetcher()(to, { redirects: 2, headers })
    expect([String(answer.body), answer.url]).toEqual(['/c', `http://other.test:${port}/c`])
    expect(seen).toEqual(['secret', 'secret', undefined])
    expect(await codeOf(fetcher()(to, { redirects: 1 }))).toBe('outside_failed')
    expect(await fetcher()(to, { redirects: 2, method: 'POST' })).toMatchObject({ status: 307 })
  })

  it('bounds the answer in bytes', async () => {
    answering((_request, response) => response.end(Buffer.alloc(100_000, 'x')))
    const to = `http://127.0.0.2:${port}/`
    expect(await codeOf(fetcher()(to, { maxBytes: 99_999 }))).toBe('outside_failed')
    const cut = await fetcher()(to, { maxBytes: 10, tooLong: 'truncate' })
    expect([cut.status, cut.truncated, String(cut.body)]).toEqual([200, true, 'xxxxxxxxxx'])
    expect((await fetcher()(to, { maxBytes: 100_000 })).body).toHaveLength(100_000)
  })

  it('bounds everything in time', async () => {
    const to = `http://127.0.0.2:${port}/`
    answering(() => undefined)
    expect(await codeOf(fetcher()(to, { timeoutMs: 50 }))).toBe('outside_failed')
    answering((_request, response) => void response.writeHead(200).write('x'))
    await expect(fetcher()(to, { timeoutMs: 50 })).rejects.toThrow(/did not answer within 50 ms/)
    dns.answers('silent.test', 'never')
    await expect(fetcher()('https://silent.test/', { timeoutMs: 50 })).rejects.toThrow(/within 50 ms/)
    const stop = new AbortController()
    const stopped = codeOf(fetcher()(to, { signal: stop.signal }))
    stop.abort()
    expect(await stopped).toBe('outside_failed')
  })

  it('says that an answer is none', async () => {
    const to = `http://127.0.0.2:${port}/`
    answering((request) => request.socket.destroy())
    expect(await codeOf(fetcher()(to))).toBe('outside_failed')
    answering((request) => void request.socket.end('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'))
    expect(await codeOf(fetcher()(to))).toBe('outside_failed')
    answering((request) => void request.socket.end('no HTTP'))
    expect(await codeOf(fetcher()(to))).toBe('outside_failed')
    answering((_request, response) => {
      response.writeHead(200, { 'content-length': 10 }).write('x', () => response.destroy())
    })
    expect(await codeOf(fetcher()(to))).toBe('outside_failed')
    expect(await codeOf(fetcher()(`https://127.0.0.2:${port}/`))).toBe('outside_failed')
  })

  it('goes past proxies of the environment', async () => {
    answering((_request, response) => response.end('direct'))
    const index = new URL('./index.ts', import.meta.url).href
    const program = `
      const { createSafeFetch } = await import(${JSON.stringify(index)})
      const answer = await createSafeFetch(${JSON.stringify(rules)})('http://127.0.0.2:${port}/')
      process.stdout.write(answer.body)`
    const proxy = `http://127.0.0.1:${trapPort}`
    const env = {
      ...process.env,
      NODE_USE_ENV_PROXY: '1',
      HTTP_PROXY: proxy,
      http_proxy: proxy,
      NO_PROXY: '',
      no_proxy: '',
    }
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { env })
    expect(stdout).toBe('direct')
    expect(forbidden.connections).toBe(0)
  }, 60_000)
})
