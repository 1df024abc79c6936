import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { settingsFromEnvironment } from './defaults.ts'
import { createRegistry } from './registry.ts'
import { parseModelSettings } from './settings.ts'

const settings = parseModelSettings(
  {
    version: 1,
    providers: {
      openai: { dialect: 'openai', baseUrl: 'https://api.openai.com/v1/', apiKey: 'env:KEY' },
      claude: { dialect: 'anthropic', baseUrl: 'https://api.anthropic.com', apiKey: 'env:KEY' },
    },
    models: {
      smart: {
        targets: [
          { provider: 'claude', model: 'claude-sonnet-4-5' },
          { provider: 'openai', model: 'gpt-5' },
        ],
      },
      secret: { targets: [{ provider: 'openai', model: 'gpt-4o' }], tenants: ['ten_a'] },
      'gpt-*': { targets: [{ provider: 'openai' }] },
      'gpt-9*': { targets: [{ provider: 'claude' }] },
      'openai/*': { targets: [{ provider: 'openai' }] },
    },
  },
  'the spec',
)
const registry = createRegistry(settings, { KEY: 'canary' })
const targetsOf = (name: string, tenant = 'ten_a') =>
  registry.route(name, tenant).targets.map(({ provider, model }) => `${provider.name} ${model}`)

describe('routes', () => {
  it('go to targets in order, by name or by the longest beginning', () => {
    expect(targetsOf('smart')).toEqual(['claude claude-sonnet-4-5', 'openai gpt-5'])
    expect(targetsOf('gpt-4o-mini')).toEqual(['openai gpt-4o-mini'])
    expect(targetsOf('gpt-9-x')).toEqual(['claude gpt-9-x'])
    expect(targetsOf('openai/gpt-4o')).toEqual(['openai gpt-4o'])
  })

  it.each(['nothing', 'claude/claude-opus-4', '__proto__', 'constructor', 'toString'])(
    'do not exist for %s',
    (name) => {
      expect(() => targetsOf(name)).toThrow(expect.objectContaining({ code: 'not_found' }))
    },
  )

  it('have names for metrics that callers cannot add to', () => {
    expect(registry.label('gpt-4o-2024-08-06', 'gpt-4o')).toBe('gpt-4o')
    expect(registry.label('claude-sonnet-4-5')).toBe('claude-sonnet-4-5')
    expect(registry.label('whatever the provider says', 'gpt-5')).toBe('gpt-5')
    const names = Array.from({ length: 1_000 }, (_, i) => registry.label(`gpt-made-up-${i}`, `openai/x${i}`))
    expect(new Set(names)).toEqual(new Set(['other']))
  })

  it('of one tenant do not exist for another', () => {
    expect(targetsOf('secret')).toEqual(['openai gpt-4o'])
    expect(() => targetsOf('secret', 'ten_b')).toThrow(expect.objectContaining({ code: 'not_found' }))
    expect(registry.list('ten_b').map(({ name }) => name)).not.toContain('secret')
  })

  it('have a price', () => {
    expect(registry.list('ten_a').find(({ name }) => name === 'smart')?.price?.input).toBe(3)
  })
})

describe('settings', () => {
  it('name everything that is wrong at once, and no key', () => {
    const bad = {
      version: 1,
      providers: { p: { dialect: 'openai', baseUrl: 'ftp://x', apiKey: 'sk-canary-in-the-file' } },
      models: { m: { targets: [{ provider: 'q' }], typo: 1 } },
    }
    const told = (() => {
      try {
        parseModelSettings(bad, 'file.yaml')
      } catch (error) {
        return (error as Error).message
      }
      return ''
    })()
    expect(told).toMatch(/baseUrl/)
    expect(told).toMatch(/apiKey: expected env:NAME or file:/)
    expect(told).toMatch(/typo/)
    expect(told).not.toMatch(/canary/)
  })

  it('name a provider that is not there', () => {
    const bad = { version: 1, providers: {}, models: { m: { targets: [{ provider: 'q' }] } } }
    expect(() => parseModelSettings(bad, 'x')).toThrow(/there is no provider "q"/)
  })

  it('are in the README as they are here', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
    const example: unknown = parse(/```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? '')
    const parsed = parseModelSettings(example, 'the README')
    expect(
      createRegistry(parsed, { OPENAI_API_KEY: 'a', ANTHROPIC_API_KEY: 'b' }).route('smart', 'ten_acme').targets,
    ).toHaveLength(2)
  })

  it('want every key where they say it is', () => {
    expect(() => createRegistry(settings, {})).toThrow(/2 bad setting\(s\)[\s\S]*KEY is not set/)
  })
})

describe('settings from the environment', () => {
  const modelsOf = (env: Record<string, string>, localUrl?: string) =>
    Object.fromEntries(
      Object.entries(settingsFromEnvironment(env, localUrl, 'scripted').models).map(([name, { targets }]) => [
        name,
        targets[0]?.provider,
      ]),
    )

  it('have a route to each provider that there is a key for', () => {
    expect(modelsOf({ OPENAI_API_KEY: 'a', ANTHROPIC_API_KEY: 'b', GEMINI_API_KEY: 'c' })).toEqual({
      'claude-*': 'anthropic',
      'gemini-*': 'gemini',
      'openai/*': 'openai',
      'anthropic/*': 'anthropic',
      'gemini/*': 'gemini',
      '*': 'openai',
    })
  })

  it('let the scripted model answer for everything only when there is nobody else', () => {
    expect(modelsOf({}, 'http://127.0.0.1:1/v1')).toEqual({ '*': 'local' })
    expect(modelsOf({ ANTHROPIC_API_KEY: 'b' }, 'http://127.0.0.1:1/v1')).toEqual({
      'claude-*': 'anthropic',
      'anthropic/*': 'anthropic',
      scripted: 'local',
    })
    expect(modelsOf({})).toEqual({})
  })
})
