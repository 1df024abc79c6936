import { describe, expect, it } from 'vitest'
import { readConfig } from './config.ts'

describe('the settings', () => {
  it('have defaults and split the list', () => {
    expect(readConfig({ OMIUM_API_KEY: 'k', OMIUM_POOL_MODULES: 'a.ts, b.ts,' })).toMatchObject({
      modules: ['a.ts', 'b.ts'],
      slots: 100,
      port: 0,
    })
  })

  it('report all that is wrong at once', () => {
    expect(() => readConfig({ OMIUM_POOL_SLOTS: 'many', OMIUM_URL: 'nowhere' })).toThrow(
      /3 bad setting\(s\)\n.*OMIUM_POOL_SLOTS.*\n.*OMIUM_URL.*\n.*OMIUM_API_KEY/,
    )
  })
})
