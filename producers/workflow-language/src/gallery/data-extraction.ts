import { model, modelParameter, type WorkflowTemplate } from './template.ts'

export const dataExtraction: WorkflowTemplate = {
  id: 'data-extraction',
  name: 'Data extraction',
  description: 'Reads documents at the same time into records of one shape; those that cannot be read are listed.',
  agents: [],
  definition: {
    name: 'Data extraction',
    parameters: {
      type: 'object',
      properties: {
        documents: { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 500 },
        model: modelParameter,
      },
      required: ['documents'],
      additionalProperties: false,
    },
    nodes: {
      records: {
        type: 'map',
        over: 'parameters.documents',
        concurrency: 8,
        maxItems: 500,
        do: {
          nodes: {
            record: {
              type: 'model',
              model,
              system:
                'Read the document into a record. Take over what is written, invent nothing; what is not there is null.',
              prompt: '${item}',
              schema: {
                type: 'object',
                properties: {
                  title: { type: ['string', 'null'] },
                  date: { type: ['string', 'null'] },
                  amount: { type: ['number', 'null'] },
                  email: { type: ['string', 'null'] },
                },
                required: ['title', 'date', 'amount', 'email'],
              },
              repairs: 2,
              onError: { output: { failed: '${error.detail}' } },
            },
          },
          output: { index: '${index}', record: '${nodes.record.output}', status: '${nodes.record.status}' },
        },
      },
      read: {
        type: 'set',
        value: '${nodes.records.output.filter(r, r.status == "completed").map(r, r.record)}',
      },
      unread: {
        type: 'set',
        value: '${nodes.records.output.filter(r, r.status != "completed").map(r, r.index)}',
      },
    },
    output: { records: '${nodes.read.output}', unread: '${nodes.unread.output}' },
  },
}
