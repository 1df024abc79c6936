import { type ModelServer, modelName, startModelServer } from '@omium/model-server'
import type { JsonValue } from '@omium/schemas'
import { openAiCompatible } from '@omium/sdk'
import { type TestRunOptions, testRun } from '@omium/sdk/testing'
import { workflowTemplates } from '@omium/workflow-language'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { workflowAgent } from './agent.ts'

/** The templates of the gallery, run as they are. Definitions say what their output is: one that does not fit fails the run. */
let models: ModelServer
beforeAll(async () => {
  models = await startModelServer({ latencyMs: 0 })
})
afterAll(() => models.close())

type Llm = Extract<TestRunOptions['llm'], (...args: never) => unknown>
const scripted: Llm = (request) =>
  openAiCompatible({ baseUrl: models.baseUrl, apiKey: 'local' })(request, {
    signal: AbortSignal.timeout(30_000),
    onDelta: undefined,
  })

const run = async (id: string, more: { [name: string]: JsonValue } = {}, options: TestRunOptions = {}) => {
  const template = workflowTemplates.find((one) => one.id === id)
  if (!template) throw new Error(`there is no template ${id}`)
  const parameters = { ...(template.example as object), model: modelName, ...more }
  const input = { workflow: id, version: 1, bundle: { definition: template.definition, subworkflows: {} }, parameters }
  const ended = await testRun(workflowAgent, input as never, { llm: scripted, ...options })
  expect(ended.error).toBeUndefined()
  return ended.output
}

describe('a template of the gallery', () => {
  it.each(workflowTemplates.map(({ id }) => id))('%s runs with its example', async (id) => {
    expect(await run(id)).toBeDefined()
  })

  it('research tells what its critic still misses, and goes on without a part that fails', async () => {
    let drafts = 0
    const llm: Llm = ({ messages }) => {
      const [system, asked] = [String(messages[0]?.content), JSON.stringify(messages)]
      if (system.startsWith('You are the planner')) return '{"subQuestions": ["first?", "second?"]}'
      if (system.startsWith('Answer the question'))
        return asked.includes('Question: first') ? 'no JSON' : '{"answer": "yes", "confidence": "high", "sources": []}'
      if (system.startsWith('Write a report')) return `draft ${++drafts}`
      return drafts === 1 ? '{"problems": ["too short"]}' : '{"problems": ["still too short"]}'
    }
    expect(await run('research', {}, { llm })).toMatchObject({
      report: 'draft 2',
      findings: [{ question: 'first?', confidence: 'low' }, { answer: 'yes' }],
      openProblems: ['still too short'],
    })
  })

  it('support-triage asks a person as often as it is told, and passes on what they say', async () => {
    const calm = { category: 'billing', urgency: 'normal', send: true, reviewedBy: null, comment: null }
    expect(await run('support-triage')).toMatchObject(calm)
    const body = 'Your site is down and I lose money, please help immediately!'
    const asked = { approvals: false } as const
    expect(await run('support-triage', { body }, asked)).toMatchObject({
      urgency: 'urgent',
      send: false,
      reviewedBy: 'test',
    })
    expect(await run('support-triage', { review: 'always' }, asked)).toMatchObject({ send: false })
    expect(await run('support-triage', { review: 'never', body }, asked)).toMatchObject({
      send: true,
      reviewedBy: null,
    })
  })

  it('code-review puts the worst first, and approves nothing when a reviewer failed', async () => {
    expect(await run('code-review')).toMatchObject({
      verdict: 'changes_requested',
      incomplete: [],
      findings: [{ severity: 'high' }, { severity: 'high' }, { severity: 'high' }, { severity: 'medium' }, {}, {}],
    })
    const clean = '{"findings": []}'
    const llm =
      (failing: string): Llm =>
      (request) =>
        String(request.messages[0]?.content).includes(failing) ? 'no JSON' : clean
    expect(await run('code-review', {}, { llm: llm('can be abused') })).toMatchObject({
      verdict: 'incomplete',
      incomplete: ['security'],
      summary: 'Nothing was found.',
    })
    expect(await run('code-review', {}, { llm: llm('nothing') })).toMatchObject({ verdict: 'approved', incomplete: [] })
  })

  it('data-extraction says which record is of which document, and why one is missing', async () => {
    const llm: Llm = (request) => (JSON.stringify(request.messages).includes('Hello') ? 'what?' : scripted(request))
    const documents = ['Hello', 'Invoice of 2026-01-05 over EUR 1,200.50 from ada@example.com.']
    expect(await run('data-extraction', { documents }, { llm })).toMatchObject({
      records: [
        { document: 1, record: { date: '2026-01-05', amount: 1200.5, currency: 'EUR', email: 'ada@example.com' } },
      ],
      unread: [{ document: 0, reason: expect.stringContaining('it is not JSON') }],
    })
  })

  it('debate has as many rounds as it is told, each side knowing what was said', async () => {
    const seen: string[] = []
    const llm: Llm = ({ messages }) => {
      const asked = String(messages.at(-1)?.content)
      seen.push(asked)
      return messages[0]?.content?.toString().startsWith('You argue')
        ? `speech ${seen.length}`
        : '{"winner":"draw","reason":"r","strongestFor":"f","strongestAgainst":"a","unanswered":[]}'
    }
    const output = await run('debate', { rounds: 3 }, { llm })
    expect((output as { transcript: unknown[] }).transcript).toHaveLength(3)
    expect(seen[0]).toContain('nothing, you begin')
    expect(seen[4]).toMatch(/speech 1.*speech 3/s)
  })
})
