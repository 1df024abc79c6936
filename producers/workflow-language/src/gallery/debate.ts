import { model, modelParameter, type WorkflowTemplate } from './template.ts'

const side = (id: string, stance: string, other: string) => ({
  nodes: {
    [id]: {
      type: 'model',
      model,
      system: `You argue ${stance} the motion, in at most three sentences. Answer what the other side said.`,
      prompt: `Motion: \${parameters.motion}\n\nThe other side said: \${last.${other}}`,
    },
  },
})

export const debate: WorkflowTemplate = {
  id: 'debate',
  name: 'Debate',
  description: 'Two sides argue for some rounds, then a judge decides and says why.',
  agents: [],
  definition: {
    name: 'Debate',
    parameters: {
      type: 'object',
      properties: {
        motion: { type: 'string', minLength: 3 },
        rounds: { type: 'integer', minimum: 1, maximum: 5, default: 2 },
        model: modelParameter,
      },
      required: ['motion'],
      additionalProperties: false,
    },
    nodes: {
      rounds: {
        type: 'loop',
        initial: { for: 'nothing yet', against: 'nothing yet', transcript: [] },
        maxIterations: 5,
        until: 'iteration + 1 >= parameters.rounds',
        do: {
          nodes: {
            speak: {
              type: 'parallel',
              branches: { for: side('pro', 'for', 'against'), against: side('con', 'against', 'for') },
            },
          },
          output: {
            for: '${nodes.speak.output["for"]}',
            against: '${nodes.speak.output.against}',
            transcript: '${last.transcript + [nodes.speak.output]}',
          },
        },
      },
      judge: {
        type: 'model',
        model,
        system: 'You judge a debate by its arguments alone.',
        prompt: 'Motion: ${parameters.motion}\n\n${json(nodes.rounds.output.transcript)}',
        schema: {
          type: 'object',
          properties: { winner: { enum: ['for', 'against', 'draw'] }, reason: { type: 'string' } },
          required: ['winner', 'reason'],
        },
        repairs: 2,
      },
    },
    output: { verdict: '${nodes.judge.output}', transcript: '${nodes.rounds.output.transcript}' },
  },
}
