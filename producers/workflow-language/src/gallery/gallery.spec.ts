import { expect, it } from 'vitest'
import { validateWorkflow } from '../validate.ts'
import { workflowTemplates } from './index.ts'

it.each(workflowTemplates.map(({ id, definition }) => [id, definition] as const))(
  'the template %s has no problems',
  (_, definition) => {
    expect(validateWorkflow(definition, { agents: new Map(), models: ['gpt-4o-mini'] }).problems).toEqual([])
  },
)

it('has a template of each kind, with ids of their own', () => {
  expect(workflowTemplates.map(({ id }) => id)).toEqual([
    'research',
    'support-triage',
    'code-review',
    'data-extraction',
    'debate',
  ])
})
