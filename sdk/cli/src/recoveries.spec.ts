import { recoveryPolicy } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { scriptedGateway } from './testing.ts'

const incident = {
  id: 'run-1.1',
  executionId: 'run-1',
  agent: 'writer',
  status: 'escalated',
  class: 'code_bug',
  classifiedBy: 'error class TypeError',
  fingerprint: 'f00d',
  rootCause: { executionId: 'run-2', code: 'agent_threw', detail: 'x is not a function\n  at y' },
  chain: [
    { executionId: 'run-1', code: 'child_failed', detail: 'child' },
    { executionId: 'run-2', code: 'agent_threw', detail: 'x is not a function' },
  ],
  plan: {
    number: 2,
    strategy: 'ask_person',
    action: { type: 'hold', untilMs: 5 },
    policy: { name: 'mine', version: 3 },
  },
  why: 'nothing else is left',
  attempts: 2,
  costMicroCredits: 0,
  openedAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  position: '0:4',
}
const history = [
  {
    id: 'evt_1',
    type: 'RecoveryPlanned',
    version: 2,
    time: '2026-01-01T00:00:00.000Z',
    actor: 'system',
    data: { strategy: 'retry', attempt: 1, of: 3, by: 'system', why: 'code_bug; try again after 1 s' },
  },
]

describe('omium', () => {
  const { answers, asked, lines, run } = scriptedGateway()
  const omium = (...argv: string[]) => run(argv, { stdin: '{"rules":[]}' })

  it('recoveries ls and show tell what failed, and why what was decided', async () => {
    answers['GET /v1/recoveries'] = { items: [incident] }
    expect(await omium('recoveries', 'ls', '--status', 'escalated')).toBe(0)
    expect(lines.out.join('\n')).toMatch(/run-1\.1\s+escalated\s+code_bug\s+ask_person\s+2/)
    answers['GET /v1/recoveries/run-1.1'] = { ...incident, history }
    expect(await omium('recoveries', 'show', 'run-1.1')).toBe(0)
    expect(lines.out[0]).toContain('root cause    agent_threw in run-2: x is not a function')
    expect(lines.out[0]).toContain('through       run-1 < run-2')
    expect(lines.out[0]).toContain('RecoveryPlanned  retry 1 of 3; code_bug; try again after 1 s')
    expect(await omium('recoveries', 'show', 'run-9.1')).toBe(4)
  })

  it.each<[string[], object]>([
    [
      ['--retry', '--model', 'm', '--other-worker'],
      { type: 'retry', avoidWorker: true, delayMs: 0, overrides: { models: { '*': 'm' } } },
    ],
    [
      ['--roll-back', 'start', '--instructions', 'mind'],
      { type: 'roll_back', toPath: null, delayMs: 0, overrides: { instructions: 'mind' } },
    ],
    [['--settle', '{"a":1}', '--path', 'x#1'], { type: 'settle', path: 'x#1', output: { a: 1 } }],
    [['--compensate', 'undo'], { type: 'compensate', agentId: 'undo' }],
    [['--give-up'], { type: 'give_up' }],
  ])('recoveries decide %j', async (flags, action) => {
    answers['POST /v1/recoveries/run-1.1/decide'] = { incidentId: 'run-1.1', position: '0:5', deduplicated: false }
    expect(await omium('recoveries', 'decide', 'run-1.1', ...flags, '-r', 'because')).toBe(0)
    expect(asked.at(-1)?.body).toEqual({ action, reason: 'because' })
  })

  it('recoveries decide takes one decision', async () => {
    expect(await omium('recoveries', 'decide', 'run-1.1')).toBe(2)
    expect(await omium('recoveries', 'decide', 'run-1.1', '--retry', '--give-up')).toBe(2)
    expect(await omium('recoveries', 'decide', 'run-1.1', '--give-up', '--model', 'x')).toBe(2)
    expect(asked).toEqual([])
  })

  it('recoveries stats shows the matrix', async () => {
    answers['GET /v1/recoveries/stats'] = {
      items: [
        {
          class: 'timeout',
          strategy: 'retry',
          tries: 4,
          successes: 3,
          successRate: 0.75,
          recoveredInP50Ms: 120,
          recoveredInP99Ms: 800,
        },
      ],
    }
    expect(await omium('recoveries', 'stats')).toBe(0)
    expect(lines.out.join('\n')).toMatch(/timeout\s+retry\s+4\s+3\s+75 %\s+120 ms\s+800 ms/)
  })

  it('policies publish, show and validate', async () => {
    answers['PUT /v1/recovery-policies/mine'] = {
      name: 'mine',
      position: '0:1',
      deduplicated: false,
      warnings: [{ path: '/rules/0', message: 'never reached' }],
    }
    expect(await omium('policies', 'publish', 'mine', '-', '--expect', '0')).toBe(0)
    expect(asked.at(-1)?.body).toEqual({ policy: { rules: [] }, expectedVersion: 0 })
    expect(lines.out[0]).toContain('warning  /rules/0: never reached')
    answers['GET /v1/recovery-policies/mine'] = {
      items: [{ name: 'mine', version: 1, inForce: true, policy: recoveryPolicy.parse({ models: ['a'] }) }],
    }
    expect(await omium('policies', 'show', 'mine')).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toMatchObject({ models: ['a'] })
    expect(await omium('policies', 'show', 'mine', '--version-number', '7')).toBe(2)
    answers['POST /v1/recovery-policies/validate'] = {
      valid: false,
      errors: [{ path: '/x', message: 'no such' }],
      warnings: [],
    }
    expect(await omium('policies', 'validate', '{"x":1}')).toBe(1)
    expect(lines.out[0]).toContain('error    /x: no such')
  })
})
