import { model, modelParameter, type WorkflowTemplate } from './template.ts'

export const supportTriage: WorkflowTemplate = {
  id: 'support-triage',
  name: 'Support triage',
  description: 'Sorts a ticket by subject and urgency, drafts the reply, and has a person look at urgent ones first.',
  agents: [],
  definition: {
    name: 'Support triage',
    parameters: {
      type: 'object',
      properties: {
        subject: { type: 'string' },
        body: { type: 'string', minLength: 1 },
        customer: { type: 'string', default: 'customer' },
        model: modelParameter,
        approvalTimeoutMs: { type: 'integer', default: 86_400_000 },
      },
      required: ['subject', 'body'],
      additionalProperties: false,
    },
    nodes: {
      classify: {
        type: 'model',
        title: 'Sort the ticket',
        model,
        system: 'Sort a support ticket.',
        prompt: '${parameters.subject}\n\n${parameters.body}',
        schema: {
          type: 'object',
          properties: {
            category: { enum: ['billing', 'technical', 'account', 'other'] },
            urgency: { enum: ['low', 'normal', 'urgent'] },
            summary: { type: 'string' },
          },
          required: ['category', 'urgency', 'summary'],
        },
        repairs: 2,
      },
      reply: {
        type: 'switch',
        title: 'Draft the reply',
        cases: [
          {
            when: 'nodes.classify.output.category == "billing"',
            do: {
              nodes: {
                billing: {
                  type: 'model',
                  model,
                  system: 'You answer questions about invoices and payments. Promise no refund.',
                  prompt: 'Dear ${parameters.customer}, ${parameters.body}',
                },
              },
            },
          },
          {
            when: 'nodes.classify.output.category == "technical"',
            do: {
              nodes: {
                technical: {
                  type: 'model',
                  model,
                  system: 'You help with technical trouble, step by step.',
                  prompt: 'Dear ${parameters.customer}, ${parameters.body}',
                },
              },
            },
          },
        ],
        otherwise: {
          nodes: {
            general: {
              type: 'model',
              model,
              system: 'You answer politely and say who will take care of it.',
              prompt: 'Dear ${parameters.customer}, ${parameters.body}',
            },
          },
        },
      },
      review: {
        type: 'approval',
        title: 'A person looks at urgent ones',
        when: 'nodes.classify.output.urgency == "urgent"',
        ask: 'Send this reply to ${parameters.customer}?',
        details: { ticket: '${parameters.subject}', reply: '${nodes.reply.output}' },
        timeoutMs: 86_400_000,
        onRefusal: 'continue',
      },
      decision: {
        type: 'set',
        needs: ['review', 'reply'],
        value: {
          category: '${nodes.classify.output.category}',
          urgency: '${nodes.classify.output.urgency}',
          reply: '${nodes.reply.output}',
          send: '${nodes.review.status == "skipped" || nodes.review.output.approved}',
        },
      },
    },
    output: '${nodes.decision.output}',
  },
}
