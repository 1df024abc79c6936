import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'

/** Runs a few lines in a process of their own. */
const run = (script: string, env: Record<string, string> = {}) => {
  const imports = ['lifecycle', 'logger', 'settings'].map((file) => {
    const { pathname } = new URL(`../src/${file}.ts`, import.meta.url)
    return `import * as ${file} from ${JSON.stringify(pathname)}`
  })
  const source = [...imports, 'const kit = { ...lifecycle, ...logger, ...settings }', script].join('\n')
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
    env: { PATH: process.env['PATH'], ...env },
    encoding: 'utf8',
    timeout: 20_000,
  })
  return { stdout, stderr, status }
}

describe('a process', () => {
  it('with bad settings names all of them, shows none, and exits with 1', () => {
    const { stderr, status } = run(`kit.settingsOrExit(['OMIUM_TOKEN_SECRET', 'OMIUM_ENGINE_PORT'])`, {
      OMIUM_TOKEN_SECRET: 'tooshort',
      OMIUM_ENGINE_PORT: '99999999',
    })
    expect(status).toBe(1)
    expect(stderr).toMatch(/OMIUM_TOKEN_SECRET/)
    expect(stderr).toMatch(/OMIUM_ENGINE_PORT/)
    expect(stderr).not.toContain('tooshort')
  })

  it('closes what it opened in reverse order when it is asked to end', () => {
    const { stdout, stderr, status } = run(`
      await kit.runService({ logger: kit.createLogger('spec', 'silent'), drainMs: 5000, async start(life) {
        life.onClose('a', () => console.log('a'))
        life.onClose('b', async () => console.log('b'))
        process.kill(process.pid, 'SIGTERM')
        setTimeout(() => {}, 10000)
      } })`)
    expect({ closed: stdout.trim().split('\n'), stderr, status }).toEqual({ closed: ['b', 'a'], stderr: '', status: 0 })
  })

  it('whose start fails closes what it had opened, says why and exits with 1', () => {
    const { stdout, status } = run(`
      await kit.runService({ logger: kit.createLogger('spec', 'info'), drainMs: 5000, async start(life) {
        life.onClose('a', () => console.log('closed a'))
        throw Object.assign(new Error('no broker'), {})
      } })`)
    expect(stdout).toContain('the start failed: no broker')
    expect(stdout).toContain('closed a')
    expect(status).toBe(1)
  })

  it('that does not end in time is ended', () => {
    const { status } = run(`
      await kit.runService({ logger: kit.createLogger('spec', 'silent'), drainMs: 50, async start(life) {
        life.onClose('stuck', () => new Promise(() => {}))
        setTimeout(() => {}, 10000)
        process.kill(process.pid, 'SIGINT')
      } })`)
    expect(status).toBe(1)
  })

  it('never logs what is named like a secret', () => {
    const { stdout } = run(`
      kit.createLogger('spec', 'info').info({ token: 'abc123', s3: { secretAccessKey: 'abc123' }, user: 'u' }, 'hello')`)
    expect(stdout).toContain('"user":"u"')
    expect(stdout).not.toContain('abc123')
  })
})
