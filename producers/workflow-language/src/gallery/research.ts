import { model, modelParameter, type WorkflowTemplate } from './template.ts'

export const research: WorkflowTemplate = {
  id: 'research',
  name: 'Research',
  description:
    'Splits a question, looks into each part at the same time, writes a report, and revises it until a critic is content.',
  agents: [],
  definition: {
    name: 'Research',
    description: 'A report on a question, from several sides.',
    parameters: {
      type: 'object',
      properties: {
        question: { type: 'string', minLength: 3 },
        sources: { type: 'string', default: '', description: 'text to rest on, if there is any' },
        maxSubQuestions: { type: 'integer', minimum: 1, maximum: 10, default: 3 },
        model: modelParameter,
      },
      required: ['question'],
      additionalProperties: false,
    },
    nodes: {
      plan: {
        type: 'model',
        title: 'Split the question',
        model,
        system: 'You are the planner. Split the question into sub-questions that together answer it.',
        prompt: '${json({"question": parameters.question, "maxSubQuestions": parameters.maxSubQuestions})}',
        schema: {
          type: 'object',
          properties: { subQuestions: { type: 'array', items: { type: 'string' }, minItems: 1 } },
          required: ['subQuestions'],
        },
      },
      findings: {
        type: 'map',
        title: 'Look into each part',
        over: 'nodes.plan.output.subQuestions',
        concurrency: 4,
        maxItems: 10,
        do: {
          nodes: {
            answer: {
              type: 'model',
              model,
              system: 'Answer the question in a few sentences. Say what you do not know.',
              prompt: '${item}\n\n${parameters.sources}',
            },
          },
          output: { question: '${item}', answer: '${nodes.answer.output}' },
        },
      },
      report: {
        type: 'loop',
        title: 'Write, and revise',
        initial: { text: '', problems: [] },
        maxIterations: 2,
        until: 'size(last.problems) == 0',
        onLimit: 'continue',
        do: {
          nodes: {
            write: {
              type: 'model',
              model,
              system: 'Write a short report in plain words, with a heading for each part.',
              prompt:
                'Question: ${parameters.question}\n\n${nodes.findings.output.map(f, f.question + " " + f.answer).join("\\n\\n")}\n\nPut right: ${last.problems}',
            },
            criticise: {
              type: 'model',
              model,
              system: 'Name what is wrong or missing in the report, if anything.',
              prompt: '${nodes.write.output}',
              schema: {
                type: 'object',
                properties: { problems: { type: 'array', items: { type: 'string' }, maxItems: 5 } },
                required: ['problems'],
              },
              onError: { output: { problems: [] } },
            },
          },
          output: { text: '${nodes.write.output}', problems: '${nodes.criticise.output.problems}' },
        },
      },
    },
    output: { report: '${nodes.report.output.text}', findings: '${nodes.findings.output}' },
  },
}
