import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isTrusted, nearestHome } from './connection.ts'
import { scriptedGateway } from './testing.ts'

describe('a folder that came with files of somebody else', () => {
  let folder: string
  const { asked, lines, url, run } = scriptedGateway()
  const stackAt = (gateway: string) =>
    writeFileSync(join(folder, '.omium/run/state.json'), JSON.stringify({ urls: { gateway, models: gateway } }))

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'omium-connection-'))
    mkdirSync(join(folder, '.omium/run'), { recursive: true })
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it.each([
    'https://evil.example',
    'http://127.0.0.1.evil.example',
    'http://localhost@evil.example',
    'http://10.0.0.1',
    'x',
  ])('does not say that keys go to %s', async (gateway) => {
    stackAt(gateway)
    for (const argv of [['whoami'], ['login', '--no-browser']])
      expect(await run(argv, { env: { OMIUM_API_KEY: 'om_test_key' }, cwd: folder })).toBe(2)
    expect(lines.err.join('\n')).toContain('is not on this machine')
    expect(asked).toEqual([])
  })
  it('says where a local stack is, unless that is said otherwise', async () => {
    stackAt(url())
    await run(['whoami'], { env: { OMIUM_API_KEY: 'om_test_key' }, cwd: folder })
    expect(asked).toHaveLength(1)
    stackAt('https://evil.example')
    const env = { OMIUM_API_KEY: 'om_test_key', OMIUM_URL: url(), OMIUM_MODELS_URL: url() }
    await run(['whoami'], { env, cwd: folder })
    expect(asked).toHaveLength(2)
  })
  it('is not looked at when it belongs to somebody else, but for being named', () => {
    const home = join(folder, '.omium')
    expect(nearestHome({ env: {}, cwd: folder })).toBe(home)
    expect(nearestHome({ env: { OMIUM_HOME: home }, cwd: '/' })).toBe(home)
    expect([isTrusted(1000, 1000), isTrusted(0, 1000), isTrusted(1, undefined)]).toEqual([true, true, true])
    expect([isTrusted(1001, 1000), isTrusted(1000, 0)]).toEqual([false, false])
  })
})
