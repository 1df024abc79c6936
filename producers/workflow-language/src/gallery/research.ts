import { list, model, modelParameter, object, text, type WorkflowTemplate } from './template.ts'

const finding = {
  answer: text(),
  confidence: { enum: ['low', 'medium', 'high'] },
  sources: list(text(), { description: 'titles of the sources that say so' }),
}
const sourcesShown =
  '${size(parameters.sources) == 0 ? "Sources: none were given. Rest on what you know." : "Sources:\\n\\n" + parameters.sources.map(s, "[" + s.title + "] " + s.text).join("\\n\\n")}'

export const research: WorkflowTemplate = {
  id: 'research',
  name: 'Research',
  description:
    'Splits a question, looks into each part at the same time, writes a report that says how sure it is and what it rests on, and ' +
    'revises it until a critic is content. What the critic still misses comes with the report.',
  agents: [],
  example: {
    question: 'How do leases, epochs and quorums protect a log?',
    sources: [
      { title: 'Leases', text: 'A lease is a lock that ends by itself. Its holder stops before the lease does.' },
      { title: 'Epochs', text: 'Each new leader takes a higher epoch. Whatever carries an older epoch is refused.' },
    ],
  },
  definition: {
    name: 'Research',
    description: 'A report on a question, from several sides.',
    parameters: object(
      {
        question: { type: 'string', minLength: 3 },
        sources: list(object({ title: text(), text: text() }), {
          default: [],
          maxItems: 50,
          description: 'what the report is to rest on, if there is anything',
        }),
        audience: { ...text('who reads the report'), default: 'a colleague who knows the field' },
        maxSubQuestions: { type: 'integer', minimum: 1, maximum: 10, default: 3 },
        maxDrafts: { type: 'integer', minimum: 1, maximum: 5, default: 2 },
        model: modelParameter,
      },
      ['question'],
    ),
    nodes: {
      plan: {
        type: 'model',
        title: 'Split the question',
        model,
        system:
          'You are the planner. Split the question into sub-questions that do not overlap and together answer it, at most as many as ' +
          'are asked for. Each can be understood without the others.',
        prompt: '${json({"question": parameters.question, "maxSubQuestions": parameters.maxSubQuestions})}',
        schema: object({ subQuestions: list(text(), { minItems: 1, maxItems: 10 }) }),
        repairs: 2,
      },
      findings: {
        type: 'map',
        title: 'Look into each part',
        over: 'nodes.plan.output.subQuestions',
        concurrency: 4,
        maxItems: 10,
        do: {
          nodes: {
            look: {
              type: 'model',
              model,
              system:
                'Answer the question in a few sentences. Where there are sources, say only what they say and name them; where they are ' +
                'silent, say so and be less confident. Invent no source.',
              prompt: `Question: \${item}\nIt is a part of: \${parameters.question}\n\n${sourcesShown}`,
              schema: object(finding),
              repairs: 2,
              // a part that fails is a gap in the report, not the end of it
              onError: {
                output: { answer: 'This could not be looked into: ${error.detail}', confidence: 'low', sources: [] },
              },
            },
          },
          output: {
            question: '${item}',
            answer: '${nodes.look.output.answer}',
            confidence: '${nodes.look.output.confidence}',
            sources: '${nodes.look.output.sources}',
          },
        },
      },
      report: {
        type: 'loop',
        title: 'Write, and revise',
        initial: { text: '', problems: [] },
        maxIterations: 5,
        until: 'size(last.problems) == 0 || iteration + 1 >= parameters.maxDrafts',
        do: {
          nodes: {
            write: {
              type: 'model',
              model,
              system:
                'Write a report for the audience in plain words: first the answer in two or three sentences, then a heading for each part, ' +
                'then what stays open. Say where confidence is low. Use the findings and nothing else, and name their sources in brackets. ' +
                'Where there is an earlier draft, keep what is good in it and put right what the critic found.',
              prompt:
                'Question: ${parameters.question}\nAudience: ${parameters.audience}\n\nFindings:\n${json(nodes.findings.output)}\n\n' +
                'Earlier draft:\n${last.text == "" ? "none" : last.text}\n\nThe critic found:\n${size(last.problems) == 0 ? "nothing yet" : last.problems.join("\\n")}',
            },
            criticise: {
              type: 'model',
              model,
              system:
                'Check a report against its question and its findings. Name each statement that the findings do not support, each part of ' +
                'the question without an answer, and what a reader would misunderstand. Name nothing else: a good report has no problems.',
              prompt:
                'Question: ${parameters.question}\n\nFindings:\n${json(nodes.findings.output)}\n\nReport:\n${nodes.write.output}',
              schema: object({ problems: list(text(), { maxItems: 5 }) }),
              repairs: 2,
            },
          },
          output: { text: '${nodes.write.output}', problems: '${nodes.criticise.output.problems}' },
        },
      },
    },
    output: {
      report: '${nodes.report.output.text}',
      findings: '${nodes.findings.output}',
      openProblems: '${nodes.report.output.problems}',
    },
    outputSchema: object({
      report: text(),
      findings: list(object({ question: text(), ...finding })),
      openProblems: list(text()),
    }),
  },
}
