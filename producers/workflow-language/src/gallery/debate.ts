import { list, model, modelParameter, object, text, type WorkflowTemplate } from './template.ts'

const side = (id: string, stance: string) => ({
  nodes: {
    [id]: {
      type: 'model',
      model,
      system:
        `You argue ${stance} the motion, in at most five sentences. Answer the strongest argument of the other side first, then bring a ` +
        'new one of your own. Rest on the facts where there are any; claim no others as facts.',
      prompt:
        'Motion: ${parameters.motion}\n\nFacts: ${parameters.facts}\n\n' +
        'Said so far:\n${size(last.transcript) == 0 ? "nothing, you begin" : json(last.transcript)}',
    },
  },
})
const speech = object({ for: text(), against: text() })
const verdict = object({
  winner: { enum: ['for', 'against', 'draw'] },
  reason: text(),
  strongestFor: text('the best argument for the motion, in one sentence'),
  strongestAgainst: text('the best argument against it, in one sentence'),
  unanswered: list(text(), { maxItems: 5, description: 'arguments that the other side left standing' }),
})

export const debate: WorkflowTemplate = {
  id: 'debate',
  name: 'Debate',
  description:
    'Two sides argue for some rounds, each knowing all that was said; then a judge decides, says why, and names the best argument of ' +
    'each side and what was left unanswered. For decisions that deserve a second look.',
  agents: [],
  example: {
    motion: 'We should move our job queue from tables to a log.',
    facts: 'Forty jobs a second today; three people run it; two incidents last year came from lock contention.',
  },
  definition: {
    name: 'Debate',
    parameters: object(
      {
        motion: { type: 'string', minLength: 3 },
        facts: { ...text('what both sides may rest on'), default: 'none were given' },
        rounds: { type: 'integer', minimum: 1, maximum: 5, default: 2 },
        model: modelParameter,
      },
      ['motion'],
    ),
    nodes: {
      rounds: {
        type: 'loop',
        initial: { transcript: [] },
        maxIterations: 5,
        until: 'iteration + 1 >= parameters.rounds',
        do: {
          nodes: {
            speak: { type: 'parallel', branches: { for: side('pro', 'for'), against: side('con', 'against') } },
          },
          output: { transcript: '${last.transcript + [nodes.speak.output]}' },
        },
      },
      judge: {
        type: 'model',
        model,
        system:
          'You judge a debate by its arguments alone, whatever you think of the motion. Length and confidence count for nothing; an ' +
          'argument that was answered counts for less than one that was not.',
        prompt:
          'Motion: ${parameters.motion}\n\nFacts: ${parameters.facts}\n\nWhat was said, round by round:\n${json(nodes.rounds.output.transcript)}',
        schema: verdict,
        repairs: 2,
      },
    },
    output: { verdict: '${nodes.judge.output}', transcript: '${nodes.rounds.output.transcript}' },
    outputSchema: object({ verdict, transcript: list(speech) }),
  },
}
