import { model, modelParameter, type WorkflowTemplate } from './template.ts'

const findings = {
  type: 'object',
  properties: {
    findings: {
      type: 'array',
      maxItems: 20,
      items: {
        type: 'object',
        properties: { severity: { enum: ['low', 'medium', 'high'] }, message: { type: 'string' } },
        required: ['severity', 'message'],
      },
    },
  },
  required: ['findings'],
}

const reviewer = (id: string, asked: string) => ({
  nodes: {
    [id]: {
      type: 'model',
      model,
      system: `You review a change to a program. Look at ${asked} only. Name each problem with its severity.`,
      prompt: 'Guidelines: ${parameters.guidelines}\n\nThe change:\n${parameters.diff}',
      schema: findings,
      repairs: 2,
    },
  },
  output: `\${nodes.${id}.output.findings}`,
})

export const codeReview: WorkflowTemplate = {
  id: 'code-review',
  name: 'Code review',
  description: 'Three reviewers look at a change at the same time; a summary and a verdict follow.',
  agents: [],
  definition: {
    name: 'Code review',
    parameters: {
      type: 'object',
      properties: {
        diff: { type: 'string', minLength: 1 },
        guidelines: { type: 'string', default: 'none' },
        model: modelParameter,
      },
      required: ['diff'],
      additionalProperties: false,
    },
    nodes: {
      review: {
        type: 'parallel',
        branches: {
          correctness: reviewer('correctness', 'whether it does what it should'),
          security: reviewer('security', 'whether it can be abused'),
          clarity: reviewer('clarity', 'whether the next person understands it'),
        },
      },
      all: {
        type: 'set',
        value: '${values(nodes.review.output).flatten()}',
      },
      summary: {
        type: 'model',
        model,
        system: 'Sum up a code review in a few sentences, the worst first.',
        prompt: '${nodes.all.output.map(f, f.severity + ": " + f.message).join("\\n")}',
        when: 'size(nodes.all.output) > 0',
      },
    },
    output: {
      verdict: '${nodes.all.output.exists(f, f.severity == "high") ? "changes_requested" : "approved"}',
      findings: '${nodes.all.output}',
      summary: '${default(nodes.summary.output, "Nothing was found.")}',
    },
  },
}
