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

describe('a reviewer', () => {
  const source = [
    '   1| export const load = (text: string) => JSON.parse(text)',
    '   2| // eval(text) is not called',
    "   3| app.post('/orders', handler)",
    '   4| try { save() } catch {}',
  ].join('\n')
  const linesFor = (focus: string) => {
    const { findings } = jsonOf(answer(request(`You are a reviewer of ${focus}.`, source))) as {
      findings: { line: number }[]
    }
    return findings.map(({ line }) => line)
  }

  it('points to the lines that its focus is about', () => {
    expect(linesFor('correctness')).toEqual([1, 4])
    expect(linesFor('security')).toEqual([3])
    expect(linesFor('style')).toEqual([1])
  })
})

it('the lead of a review weighs the findings', () => {
  const findings = [
    { line: 9, severity: 'low', finding: 'long', quote: '' },
    { line: 3, severity: 'high', finding: 'open', quote: '' },
  ]
  expect(jsonOf(answer(request('You are the lead of a review.', { findings })))).toMatchObject({
    verdict: 'request_changes',
    fix_first: ['line 3: open', 'line 9: long'],
  })
})

describe('the support desk', () => {
  const desks = ['billing: charges and refunds', 'technical: errors of runs', 'person: complaints'].map((desk) => {
    const [name, description] = desk.split(': ')
    return { type: 'function' as const, function: { name: `transfer_to_${name}`, description } }
  })
  const handedTo = (ticket: string) =>
    jsonOf(answer({ ...request('You are the triage desk.', ticket), tools: desks })) as { name: string }[]

  it('hands a ticket to whom its words fit, and to a person when they fit nobody', () => {
    expect(handedTo('I see two charges')[0]?.name).toBe('transfer_to_billing')
    expect(handedTo('My runs end with errors')[0]?.name).toBe('transfer_to_technical')
    expect(handedTo('Hello?')[0]?.name).toBe('transfer_to_person')
  })

  it('refunds what was charged twice and nothing else', () => {
    const offered = ['look_up_order', 'refund'].map((name) => ({ type: 'function' as const, function: { name } }))
    const order = (...amounts: string[]) => ({
      order: 'A-100',
      charges: amounts.map((amount, index) => ({ id: `ch_${index}`, amount })),
    })
    const asked = (result: unknown) =>
      answer({
        ...request('You are a support specialist.', 'Please refund order A-100', [['look_up_order', result]]),
        tools: offered,
      })
    expect(jsonOf(asked(order('5 EUR', '5 EUR')))).toEqual([
      { name: 'refund', arguments: { order: 'A-100', charge: 'ch_1' } },
    ])
    expect(asked(order('5 EUR', '7 EUR'))).toMatchObject({ text: expect.stringContaining('None of them is doubled') })
  })
})

it('an extractor takes values as they stand, and mends what a check sends back', () => {
  const system = 'You are an extractor. {"code": "the heading", "status": "the number behind HTTP"}'
  const document = '# Errors\n\n### gone\n\nIt is gone. HTTP 410, not retryable.\n'
  const asked = (...results: [string, unknown][]) => {
    const tools = [{ type: 'function' as const, function: { name: 'Records-check' } }]
    return jsonOf(answer({ ...request(system, document, results), tools }))
  }
  expect(asked()).toEqual([
    { name: 'Records-check', arguments: { records: JSON.stringify([{ code: 'gone', status: '410' }]) } },
  ])
  const problems = [{ record: 0, field: 'status', problem: 'Give a number, not text.' }]
  const mended = { code: 'gone', status: 410 }
  expect(asked(['Records-check', { problems }])).toEqual([
    { name: 'Records-check', arguments: { records: JSON.stringify([mended]) } },
  ])
  expect(asked(['Records-check', { problems }], ['Records-check', { problems: [] }])).toEqual({ records: [mended] })
})

it('the supervisor gives each sentence to the team whose description fits', () => {
  const teams = { support: 'orders and refunds', brief: 'how leases work' }
  const asked = { request: 'Please refund my order. It was late. How do leases work?', teams }
  expect(jsonOf(answer(request('You are the supervisor.', asked)))).toEqual({
    assignments: [
      { team: 'support', task: 'Please refund my order. It was late.' },
      { team: 'brief', task: 'How do leases work?' },
    ],
  })
})

it('a crew that speaks in prose gets its brief without what the critic disputes', () => {
  const found = { question: 'Why?', findings: [{ claim: 'A lease expires.', citation: 'leases#1' }] }
  const doubtful = { question: 'When?', findings: [{ claim: 'Never.', citation: 'leases#9' }] }
  const context = [found, doubtful, { verdict: 'revise', problems: [{ claim: 'Never.' }] }]
  const task = [
    '\nCurrent Task: Write about: Why leases?',
    'This is the expected criteria for your final answer: Markdown\nyou MUST return all.',
    `This is the context you're working with:\n${context.map((one) => JSON.stringify(one)).join('\n\n---\n\n')}`,
  ].join('\n\n')
  const said = answer(request('You are the writer.', task))
  expect(said).toMatchObject({ text: expect.stringContaining('A lease expires [leases#1].') })
  expect(said).not.toMatchObject({ text: expect.stringContaining('Never') })
})

it('without a role it calls the tools that its instructions name, once', () => {
  const tools = [
    { type: 'function' as const, function: { name: 'Weather-survey', parameters: { required: ['place'] } } },
    { type: 'function' as const, function: { name: 'other' } },
  ]
  const system = 'Look at the weather with survey.'
  expect(jsonOf(answer({ ...request(system, 'Porto'), tools }))).toEqual([
    { name: 'Weather-survey', arguments: { place: 'Porto' } },
  ])
  const done = { ...request(system, 'Porto', [['Weather-survey', 'It is mild.']]), tools }
  expect(answer(done)).toMatchObject({ text: expect.stringContaining('mild') })
})
