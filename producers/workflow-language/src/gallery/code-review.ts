import { list, model, modelParameter, object, orNull, text, type WorkflowTemplate } from './template.ts'

const aspects = {
  correctness: 'whether it does what it should: logic, edge cases, errors that nobody handles, races, missing tests',
  security: 'whether it can be abused: injection, secrets, missing checks of who may do it, unbounded input',
  clarity: 'whether the next person understands it: names, structure, what is repeated, comments that say why',
}
const names = Object.keys(aspects)

const finding = (aspect: readonly string[]) =>
  object({
    aspect: { enum: [...aspect] },
    severity: { enum: ['low', 'medium', 'high'] },
    file: orNull('string'),
    line: orNull('integer', { description: 'in the new file' }),
    message: text('what is wrong, and what follows from it'),
    suggestion: orNull('string', { description: 'what to write instead' }),
  })

const reviewer = (aspect: string, asked: string) => ({
  nodes: {
    [aspect]: {
      type: 'model',
      model,
      system:
        `You review a change to a program. Look at ${asked}; others look at the rest. Name problems of the changed lines only, each ` +
        'once, with its place. High is what must not be merged, medium what should be put right soon, low what is a matter of taste. ' +
        'A good change has no findings: do not make any up.',
      prompt:
        'What it is for: ${parameters.purpose}\n\nGuidelines: ${parameters.guidelines}\n\nThe change:\n${parameters.diff}',
      schema: object({ findings: list(finding([aspect]), { maxItems: 20 }) }),
      repairs: 2,
      // one reviewer who fails does not silence the others, and the verdict says that the review is not whole
      onError: { output: { findings: [] } },
    },
  },
  output: { findings: `\${nodes.${aspect}.output.findings}`, status: `\${nodes.${aspect}.status}` },
})

const of = (severity: string) => `nodes.all.output.filter(f, f.severity == "${severity}")`

export const codeReview: WorkflowTemplate = {
  id: 'code-review',
  name: 'Code review',
  description:
    'Three reviewers look at a change at the same time; their findings are put in order, and a summary and a verdict follow. A review ' +
    'of which a part failed says so, and approves nothing.',
  agents: [],
  example: {
    diff: '--- a/run.js\n+++ b/run.js\n@@ -1 +1,3 @@\n+eval(input)\n+// TODO check who asks\n const a = 1',
    purpose: 'Run what users send',
  },
  definition: {
    name: 'Code review',
    parameters: object(
      {
        diff: { type: 'string', minLength: 1, description: 'a unified diff' },
        purpose: { ...text('what the change is for'), default: 'not said' },
        guidelines: { ...text('of the project'), default: 'none' },
        model: modelParameter,
      },
      ['diff'],
    ),
    nodes: {
      review: {
        type: 'parallel',
        title: 'Three reviewers',
        branches: Object.fromEntries(
          Object.entries(aspects).map(([aspect, asked]) => [aspect, reviewer(aspect, asked)]),
        ),
      },
      all: {
        type: 'set',
        value: `\${${names.map((name) => `nodes.review.output.${name}.findings`).join(' + ')}}`,
      },
      ordered: {
        type: 'set',
        title: 'The worst first',
        value: `\${${['high', 'medium', 'low'].map(of).join(' + ')}}`,
      },
      summary: {
        type: 'model',
        model,
        system:
          'Sum up a code review in at most five sentences for its author, the worst first. Add nothing of your own.',
        prompt: '${json(nodes.ordered.output)}',
        when: 'size(nodes.ordered.output) > 0',
        onError: { output: null },
      },
      incomplete: {
        type: 'set',
        title: 'Reviewers who failed',
        value: `\${[${names.map((name) => `"${name}"`).join(', ')}].filter(name, nodes.review.output[name].status != "completed")}`,
      },
    },
    output: {
      verdict: `\${size(${of('high')}) > 0 ? "changes_requested" : size(nodes.incomplete.output) > 0 ? "incomplete" : "approved"}`,
      findings: '${nodes.ordered.output}',
      incomplete: '${nodes.incomplete.output}',
      summary:
        '${default(nodes.summary.output, size(nodes.ordered.output) == 0 ? "Nothing was found." : "See the findings.")}',
    },
    outputSchema: object({
      verdict: { enum: ['approved', 'changes_requested', 'incomplete'] },
      findings: list(finding(names)),
      incomplete: list({ enum: names }),
      summary: text(),
    }),
  },
}
