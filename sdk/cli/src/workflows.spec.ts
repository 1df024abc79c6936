import { describe, expect, it } from 'vitest'
import { scriptedGateway } from './testing.ts'

const at = '2026-01-01T00:00:00.000Z'
const receipt = { id: 'digest', position: '0:1', deduplicated: false }
const definition = { name: 'Digest', nodes: { a: { type: 'set', value: 1 } } }
const execution = {
  id: 'wf.digest.x',
  agent: 'omium.workflow',
  status: 'completed',
  output: 1,
  attempt: 1,
  stepsCompleted: 1,
  costMicroCredits: 0,
  inputTokens: 0,
  outputTokens: 0,
  options: {},
  createdAt: at,
  version: 4,
  position: '0:4',
}

describe('omium workflows, schedules and triggers', () => {
  const { answers, asked, lines, omium } = scriptedGateway()

  it('tells every problem of a definition, and ends with 1', async () => {
    const problem = { pointer: '/nodes/a', code: 'cycle', message: 'a -> a', suggestion: 'no', severity: 'error' }
    answers['POST /v1/workflows/validate'] = { valid: false, problems: [problem] }
    expect(await omium('workflows', 'validate', JSON.stringify(definition))).toBe(1)
    expect(lines.out).toEqual(['error /nodes/a: a -> a; no\nnot valid'])
  })

  it('creates one from a template, publishes and lists it', async () => {
    answers['GET /v1/workflow-templates'] = {
      items: [{ id: 'research', name: 'R', description: 'd', agents: [], definition, example: {} }],
    }
    answers['POST /v1/workflows/digest'] = { ...receipt, version: 3 }
    expect(await omium('workflows', 'create', 'digest', '--template', 'research', '--publish')).toBe(0)
    expect(lines.out).toEqual(['version 3 of digest is published'])
    expect(asked.at(-1)?.body).toEqual({ definition, publish: true })
    expect(await omium('workflows', 'create', 'digest', '--template', 'nothing')).toBe(2)
    answers['GET /v1/workflows'] = {
      items: [
        { id: 'digest', name: 'D', latestVersion: 3, activeRuns: 0, createdAt: at, updatedAt: at, position: '0:1' },
      ],
    }
    expect(await omium('workflows', 'ls')).toBe(0)
    expect(lines.out[0]).toContain('digest  D     -          3')
  })

  it('runs one and waits for its output', async () => {
    answers['POST /v1/workflows/digest/runs'] = { ...receipt, executionId: 'wf.digest.x', executionPosition: '0:2' }
    answers['GET /v1/executions/wf.digest.x/result'] = execution
    expect(await omium('workflows', 'run', 'digest', '-p', '{"n": 1}', '--id', 'x')).toBe(0)
    expect([lines.out, lines.err]).toEqual([['1'], ['wf.digest.x']])
    expect(asked[0]?.body).toEqual({ parameters: { n: 1 }, id: 'x' })
  })

  it('puts schedules and triggers, and steers them; a secret is told once', async () => {
    answers['PUT /v1/schedules/daily'] = receipt
    expect(await omium('schedules', 'put', 'daily', 'digest', '0 9 * * 1', '-z', 'Europe/Berlin')).toBe(0)
    expect(asked[0]?.body).toMatchObject({
      workflow: 'digest',
      cron: '0 9 * * 1',
      timezone: 'Europe/Berlin',
      overlap: 'skip',
    })
    answers['PUT /v1/triggers/hook'] = { ...receipt, url: '/v1/hooks/t/hook', secret: 'whs_x' }
    expect(await omium('triggers', 'put', 'hook', '{"workflow":"digest","source":{"type":"webhook"}}')).toBe(0)
    expect(lines.out[0]).toContain('whs_x')
    answers['DELETE /v1/triggers/hook'] = receipt
    expect(await omium('triggers', 'rm', 'hook')).toBe(0)
    expect(lines.out).toEqual(['hook is deleted'])
  })
})
