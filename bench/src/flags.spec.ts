import { describe, expect, it } from 'vitest'
import { readFlags } from './flags.ts'

describe('the flags', () => {
  it('have defaults', () => {
    expect(readFlags([])).toMatchObject({
      bench: 'engine',
      via: 'gateway',
      concurrency: [1, 50, 200, 1000],
      measureMs: 6000,
    })
    expect(readFlags(['soak', '--minutes', '2', '--via', 'log'])).toMatchObject({
      concurrency: [50],
      minutes: 2,
      via: 'log',
    })
  })

  it.each([[['nothing']], [['engine', '--seconds', '0']], [['--via', 'pigeon']], [['--unknown']]])(
    'refuse %j',
    (args) => {
      expect(() => readFlags(args)).toThrow(/npm run bench/)
    },
  )
})
