import { expect, it } from 'vitest'
import { readConfig } from './config.ts'

const platform = { OMIUM_URL: 'http://127.0.0.1:1', OMIUM_API_KEY: 'k' }

it('hands the settings on as options of the worker', () => {
  const { targets, options } = readConfig({
    ...platform,
    OMIUM_PYTHON_AGENTS: 'a:b, team.yaml,a:b',
    OMIUM_PYTHON_MEMORY_LIMIT_MB: '512',
    OMIUM_PYTHON_ALLOW_TOOLS: 'tools, http_get',
  })
  expect(targets).toEqual(['a:b', 'team.yaml'])
  expect(options.join(' ')).toBe(
    '--slots 16 --isolation auto --stall-timeout 3600 --memory-limit 512 --allow-tools tools,http_get',
  )
})

it('reports all that is wrong at once', () => {
  const env = { OMIUM_URL: 'nowhere', OMIUM_PYTHON_SLOTS: '0', OMIUM_PYTHON_ISOLATION: 'some' }
  expect(() => readConfig(env)).toThrow(/bad setting\(s\)\n.*SLOTS.*\n.*ISOLATION.*\n.*OMIUM_URL/)
})
