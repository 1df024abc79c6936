import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fingerprintOf, normalized, stepShape } from './fingerprint.ts'

const link = (detail: string, path = 'a#1') => ({
  executionId: 'exe_1',
  agentId: 'w',
  path,
  code: 'step_failed',
  detail,
})
const print = (detail: string, path?: string) => fingerprintOf('tool_error', link(detail, path), 'w')

describe('a fingerprint', () => {
  it.each([
    ['order 17 of 2031 is gone', 'order 4 of 9 is gone'],
    ['no user 018f3c1e-7d2a-7b3c-9d4e-5f6a7b8c9d0e', 'no user 118f3c1e-7d2a-7b3c-9d4e-5f6a7b8c9d0f'],
    ['exe_0190a1b2c3d4e5f60190a1b2c3d4e5f6 is away', 'exe_1190a1b2c3d4e5f60190a1b2c3d4e5ff is away'],
    ['at 2026-01-02T03:04:05.678Z it broke', 'at 2025-11-12T13:14:15Z it broke'],
    ['cannot read "a.txt"', "cannot read 'some other.txt'"],
    ['TypeError at /home/a/src/tools.ts:12:7', 'TypeError at /srv/app/other/tools.ts:99:1'],
    ['GET https://a.example/x?y=1 failed', 'GET http://b.example/z failed'],
    ['after 1.5 s and 3 tries', 'after 20 s and 14 tries'],
    ['connect ECONNREFUSED 127.0.0.1:80', 'connect ECONNREFUSED 10.0.0.7:8080'],
    ['mail to a.b@c.example bounced', 'mail to x@y.example bounced'],
    ['took 1500ms', 'took 20ms'],
  ])('is the same for "%s" and "%s"', (a, b) => {
    expect(print(a)).toBe(print(b))
  })

  it('is the same wherever a step stands in its run', () => {
    expect(stepShape('plan#2/search:kafka#7')).toBe('plan/search')
    expect(print('x', 'plan#1/search:a#2')).toBe(print('x', 'plan#4/search:b#1'))
  })

  it('differs between kinds of failures', () => {
    const prints = [
      print('the shop is closed'),
      print('the shop is open'),
      print('the shop is closed', 'b#1'),
      fingerprintOf('timeout', link('the shop is closed'), 'w'),
      fingerprintOf('tool_error', { ...link('the shop is closed'), agentId: 'other' }, 'w'),
    ]
    expect(new Set(prints).size).toBe(prints.length)
  })

  it('never holds a number, and normalizing twice changes nothing', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.uuid(), (text, number, uuid) => {
        const once = normalized(`${text} ${number} ${uuid}`)
        expect(normalized(once)).toBe(once)
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  it('costs little for a long text', () => {
    const before = process.cpuUsage()
    normalized(`${'/a'.repeat(5000)}"${'\\'.repeat(5000)}${'x.'.repeat(5000)}`)
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(500)
  })
})

it('takes the id of a run for text, whatever is in it', () => {
  const of = (executionId: string) => fingerprintOf('tool_error', { ...link('x'), executionId }, 'w')
  expect(of('(')).toBe(of('(a+)+$'))
  expect(of('')).toBe(of('[z-a]'))
})
