import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePython } from '@omium/dev'
import { eventually, tenantOfPlatform } from '@omium/dev/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'

/**
 * What the README tells a stranger, as it stands there: sign up by mail, let the command line in, get a key, run an agent in
 * TypeScript and in Python. The person in front of the browser is played by requests.
 */
const root = join(import.meta.dirname, '../../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8').split('## From sign-up to a result')[1] ?? ''
const sample = (language: string): string =>
  new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1] ?? `the README has no ${language}`

let platform: Awaited<ReturnType<typeof tenantOfPlatform>>
let folder: string
let python: string

beforeAll(async () => {
  platform = await tenantOfPlatform()
  ;({ python } = await ensurePython({ progress: () => undefined }))
  // inside of the repository, where a program finds the SDK
  mkdirSync(join(root, '.omium'), { recursive: true })
  folder = mkdtempSync(join(root, '.omium/readme-'))
}, 240_000)
afterAll(() => folder && rmSync(folder, { recursive: true }))

/** A browser's part: cookies, and where its requests come from. */
const browser = () => {
  const cookies = new Map<string, string>()
  return async (path: string, form?: Record<string, string>) => {
    const response = await fetch(new URL(path, platform.url), {
      redirect: 'manual',
      headers: {
        accept: 'text/html',
        'sec-fetch-site': 'same-origin',
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      },
      ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      cookies.set(name, value)
    }
    return { status: response.status, text: await response.text() }
  }
}

/** The link of the mail that the stack has caught for an address. */
const linkFor = (address: string): Promise<string> => {
  const mails = join(platform.environment['OMIUM_HOME'] ?? '', 'mail')
  return eventually(
    () => {
      const mail = readdirSync(mails)
        .map((file) => readFileSync(join(mails, file), 'utf8'))
        .find((text) => text.includes(address))
      const plain = mail?.replace(/=\r?\n/g, '').replaceAll('=3D', '=')
      return /https?:\/\/\S+\/open\?token=[\w.-]+/.exec(plain ?? '')?.[0] ?? false
    },
    { timeoutMs: 20_000 },
  ) as Promise<string>
}

/** Commands in a shell, as a person has them: nothing of ours in the environment but where the platform is. */
const shell = (script: string) => {
  const omium = `omium() { '${process.execPath}' '${join(root, 'sdk/cli/src/main.ts')}' "$@"; }`
  const config = join(tmpdir(), `omium-readme-${process.pid}`)
  const child = spawn('bash', ['-euc', `${omium}\n${script}`], {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: folder, XDG_CONFIG_HOME: config, OMIUM_URL: platform.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    said.out += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said.err += chunk
  })
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  return {
    said,
    ended: async () => {
      const code = await ended
      rmSync(config, { recursive: true, force: true })
      return code
    },
  }
}

it('has samples of at most 15 lines', () => {
  for (const language of ['ts', 'python'])
    expect(sample(language).trim().split('\n').filter(Boolean).length, language).toBeLessThanOrEqual(15)
})

it('leads a stranger from sign-up to a result, in TypeScript and in Python', async () => {
  writeFileSync(join(folder, 'greeter.ts'), sample('ts'))
  writeFileSync(join(folder, 'greeter.py'), sample('python'))
  const { said, ended } = shell(
    `${sample('sh')}\n'${process.execPath}' greeter.ts\n'${python}' greeter.py\nomium executions ls --json`,
  )
  const address = `stranger-${process.pid}@example.com`
  const visit = browser()
  try {
    const code = await eventually(() => /type the code (\S+)/.exec(said.err)?.[1] ?? false, { timeoutMs: 30_000 })
    expect((await visit('/auth/magic-links', { email: address, return_to: '/auth/device' })).status).toBe(200)
    expect((await visit(await linkFor(address))).status).toBe(303)
    const review = await visit('/auth/device/review', { user_code: String(code) })
    expect(review.text).toContain(address)
    const decided = await visit('/auth/device/decide', { user_code: String(code), decision: 'approved' })
    expect(decided.text).toContain('The program is in')
  } finally {
    expect([await ended(), said]).toEqual([0, said])
  }
  const lines = said.out.trim().split('\n')
  expect(lines.filter((line) => line === 'Hello, Ada')).toHaveLength(2)
  const runs = lines.filter((line) => line.startsWith('{"id"')).map((line) => JSON.parse(line) as { agent: string })
  expect(runs.map(({ agent }) => agent)).toEqual(['py.greeter', 'greeter'])
  expect(`${said.out}${said.err}`).not.toMatch(/om_test_\w{24}|eyJ/)
}, 120_000)
