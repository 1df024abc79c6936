import { expect, it } from 'vitest'
import { answer } from '../answer.ts'

const filled = (schema: object, task: string): unknown => {
  const said = answer({
    model: 'm',
    messages: [
      { role: 'system', content: `Answer with nothing but JSON that fits this JSON Schema: ${JSON.stringify(schema)}` },
      { role: 'user', content: task },
    ],
  })
  return said.kind === 'text' ? JSON.parse(said.text) : undefined
}

it('fills in the form that a schema in the system prompt describes', () => {
  const properties = {
    category: { enum: ['billing', 'technical', 'other'] },
    email: { type: ['string', 'null'] },
    amount: { type: ['number', 'null'] },
    summary: { type: 'string' },
  }
  expect(filled({ type: 'object', properties }, 'I was charged EUR 1,200.50 twice. Write to ada@example.com.')).toEqual(
    {
      category: 'billing',
      email: 'ada@example.com',
      amount: 1200.5,
      summary: expect.stringContaining('charged'),
    },
  )
  expect(filled({ type: 'object', properties }, 'The program shows an error.')).toMatchObject({
    category: 'technical',
    email: null,
    amount: null,
  })
})
