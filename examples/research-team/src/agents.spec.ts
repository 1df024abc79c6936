import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ModelServer, modelName, startModelServer } from '@omium/model-server'
import { openAiCompatible } from '@omium/sdk'
import { testRun } from '@omium/sdk/testing'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { researcher, researchTeam } from './agents.ts'

const question =
  'How do leases, fencing tokens and idempotency keys together keep a crashed or paused worker from repeating work?'

let server: ModelServer
let home: string
beforeAll(async () => {
  server = await startModelServer({ latencyMs: 0 })
  home = mkdtempSync(join(tmpdir(), 'omium-team-'))
  vi.stubEnv('OMIUM_HOME', home)
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await server.close()
  rmSync(home, { recursive: true })
})

const llm = (request: Parameters<ReturnType<typeof openAiCompatible>>[0]) =>
  openAiCompatible({ baseUrl: server.baseUrl, apiKey: 'local' })(request, {
    signal: AbortSignal.timeout(15_000),
    onDelta: undefined,
  })

// a team asks the model some thirty times, of a server that shares its process with other specs
const options = { llm, limitMs: 15_000 }

describe('the research team', () => {
  it('plans, researches in parallel, revises, writes and publishes once a human agrees', async () => {
    const run = await testRun(researchTeam, { question, model: modelName }, { ...options, approvals: true })
    expect(run.error).toBeUndefined()
    expect(run.output).toMatchObject({ status: 'published', approvedBy: 'test' })
    if (run.output.status !== 'published') throw new Error('not published')
    expect(run.output.revisions).toBeGreaterThanOrEqual(1)
    expect(run.output.report).toMatch(/## How do fencing tokens keep a crashed or paused worker from repeating work\?/)
    expect(run.output.report.match(/\[[a-z-]+#\d+\]/g)?.length).toBeGreaterThanOrEqual(6)
    expect(readFileSync(run.output.file, 'utf8')).toBe(run.output.report)
  })

  it('publishes nothing when the human refuses', async () => {
    const approvals = { 'Publish this report?': { approved: false, comment: 'too long' } }
    const run = await testRun(
      researchTeam,
      { question, model: modelName },
      { ...options, approvals, executionId: 'refused' },
    )
    expect(run.output).toMatchObject({ status: 'rejected', comment: 'too long' })
    expect(run.executions['publish#1']).toBeUndefined()
  })

  it('runs no recorded step again after crashes', async () => {
    const calm = await testRun(researchTeam, { question, model: modelName }, { ...options, approvals: true })
    const crashed = await testRun(
      researchTeam,
      { question, model: modelName },
      { ...options, approvals: true, crashAfter: [1, 4, 9, 15] },
    )
    expect(crashed.attempts.length).toBeGreaterThan(1)
    expect(Object.values(crashed.executions).every((times) => times === 1)).toBe(true)
    expect(Object.keys(crashed.executions).sort()).toEqual(Object.keys(calm.executions).sort())
  })
})

it('a researcher whose model never answers in shape fails with a clear message', async () => {
  const run = await testRun(researcher, { question: 'Why?', model: 'any' }, { llm: () => 'I would rather not.' })
  expect(run.error?.message).toContain('did not answer in the asked shape')
})

it('a report is published under its key, once', async () => {
  const { publishReport } = await import('./reports.ts')
  const file = publishReport('run/publish#1', 'first')
  expect(publishReport('run/publish#1', 'second')).toBe(file)
  expect(existsSync(file) && readFileSync(file, 'utf8')).toBe('first')
})
