import { describe, expect, it } from 'vitest'
import { answer } from './answer.ts'
import { chatRequest } from './openai.ts'
import { subQuestionsOf } from './roles/planner.ts'

const tools = ['search_documents', 'read_document', 'read_passage'].map((name) => ({
  type: 'function',
  function: { name },
}))
const request = (system: string, task: unknown, results: [tool: string, result: unknown][] = []) =>
  chatRequest.parse({
    model: 'any',
    tools,
    messages: [
      { role: 'system', content: system },
      { role: 'user', content: typeof task === 'string' ? task : JSON.stringify(task) },
      ...results.flatMap(([tool, result], index) => [
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: `c${index}`, type: 'function', function: { name: tool, arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: `c${index}`, content: JSON.stringify(result) },
      ]),
    ],
  })
const jsonOf = (said: ReturnType<typeof answer>): unknown => (said.kind === 'text' ? JSON.parse(said.text) : said.calls)

describe('the planner', () => {
  it('asks of each item of an enumeration', () => {
    expect(
      subQuestionsOf(
        'How do leases, fencing tokens and idempotency keys together keep a crashed worker from repeating work?',
      ),
    ).toEqual([
      'How do leases keep a crashed worker from repeating work?',
      'How do fencing tokens keep a crashed worker from repeating work?',
      'How do idempotency keys keep a crashed worker from repeating work?',
    ])
  })

  it('finds questions around a plain one', () => {
    expect(subQuestionsOf('Why is exactly-once delivery hard?')).toHaveLength(3)
  })
})

describe('the researcher', () => {
  const system = 'You are a researcher.'
  const question = 'How do leases keep a crashed worker from repeating work?'
  const hit = { passage: 'leases#1', document: 'leases', title: 'Leases', score: 4, text: 'A lease expires.' }

  it('searches first, then opens what it found', () => {
    expect(jsonOf(answer(request(system, { question })))).toEqual([
      { name: 'search_documents', arguments: { query: 'leases crashed worker repeating work' } },
      { name: 'search_documents', arguments: { query: 'leases crashed' } },
    ])
    expect(jsonOf(answer(request(system, { question }, [['search_documents', [hit]]])))).toEqual([
      { name: 'read_document', arguments: { document: 'leases' } },
    ])
  })

  it('answers with sentences of what it read and the passages they stand in', () => {
    const opened = {
      document: 'leases',
      title: 'Leases',
      passages: [
        {
          passage: 'leases#1',
          text: 'Bananas are yellow fruits that grow in warm places. A lease lets another worker take over once a crashed worker stops renewing it.',
        },
      ],
    }
    const said = jsonOf(
      answer(
        request(system, { question }, [
          ['search_documents', [hit]],
          ['read_document', opened],
        ]),
      ),
    )
    expect(said).toEqual({
      findings: [
        {
          claim: 'A lease lets another worker take over once a crashed worker stops renewing it.',
          citation: 'leases#1',
        },
      ],
    })
  })

  it('looks for a passage behind a disputed claim and gives it up when there is none', () => {
    const good = { claim: 'A lease expires.', citation: 'leases#1' }
    const bad = { claim: 'Leases are always sufficient everywhere.', citation: null }
    const task = { question, previous: { findings: [good, bad], problems: [{ claim: bad.claim, problem: 'uncited' }] } }
    expect(jsonOf(answer(request(system, task)))).toEqual([
      { name: 'search_documents', arguments: { query: bad.claim } },
    ])
    expect(jsonOf(answer(request(system, task, [['search_documents', [hit]]])))).toEqual({ findings: [good] })
  })
})

describe('the critic', () => {
  const system = 'You are the critic.'
  const sections = [
    {
      question: 'q',
      findings: [
        { claim: 'A lease expires unless renewed.', citation: 'leases#1' },
        { claim: 'Everything is fine.', citation: null },
        { claim: 'Bananas are yellow.', citation: 'leases#9' },
      ],
    },
  ]

  it('looks the citations up, then sends back what they do not carry', () => {
    expect(jsonOf(answer(request(system, { sections })))).toEqual([
      { name: 'read_passage', arguments: { passage: 'leases#1' } },
      { name: 'read_passage', arguments: { passage: 'leases#9' } },
    ])
    const said = jsonOf(
      answer(
        request(system, { sections }, [
          ['read_passage', { passage: 'leases#1', found: true, text: 'A lease expires unless it is renewed.' }],
          ['read_passage', { passage: 'leases#9', found: false }],
        ]),
      ),
    )
    expect(said).toEqual({
      verdict: 'revise',
      problems: [
        { questionIndex: 0, claim: 'Everything is fine.', problem: 'The claim cites no passage.' },
        { questionIndex: 0, claim: 'Bananas are yellow.', problem: 'The cited passage leases#9 does not exist.' },
      ],
    })
  })
})

it('the writer puts a citation behind every sentence', () => {
  const said = answer(
    request('You are the writer.', {
      question: 'why leases?',
      sections: [{ question: 'What is a lease?', findings: [{ claim: 'A lease expires.', citation: 'leases#1' }] }],
    }),
  )
  expect(said).toEqual({ kind: 'text', text: expect.stringContaining('A lease expires [leases#1].') })
})

it('without a role it sums up', () => {
  const text =
    'Logs order events. Events in logs are ordered by offset. Bananas are yellow. Offsets order events in logs.'
  const said = answer(request('Be brief.', text))
  expect(said.kind === 'text' && said.text).not.toContain('Bananas')
})

it('the buyer orders once and says what came of it', () => {
  const asked = (results: [tool: string, result: unknown][] = []) => {
    const given = request('You are the buyer.', 'paper', results)
    return answer({ ...given, tools: [{ type: 'function', function: { name: 'Shop-order' } }] })
  }
  expect(jsonOf(asked())).toEqual([{ name: 'Shop-order', arguments: { thing: 'paper' } }])
  expect(asked([['Shop-order', 'ordered paper']])).toEqual({ kind: 'text', text: 'ordered paper' })
})
