import { model, modelParameter, object, orNull, text, type WorkflowTemplate } from './template.ts'

const desk = (id: string, task: string) => ({
  nodes: {
    [id]: {
      type: 'model',
      model,
      system:
        `You draft the reply to a support ticket. ${task} Answer in the language of the ticket, address the customer by name, and ` +
        'answer every question in it. Rest on the policies: promise nothing that they do not promise, and where they are silent say that ' +
        'a colleague will look into it. Invent no names, numbers, dates or links. Give the reply and nothing else.',
      prompt:
        'Customer: ${parameters.customer}\nSubject: ${parameters.subject}\n\n${parameters.body}\n\n' +
        'Policies:\n${parameters.policies == "" ? "none were given" : parameters.policies}',
    },
  },
})
const when = (category: string) => `nodes.classify.output.category == "${category}"`
const categories = ['billing', 'technical', 'account', 'other']
const urgencies = ['low', 'normal', 'urgent']

export const supportTriage: WorkflowTemplate = {
  id: 'support-triage',
  name: 'Support triage',
  description:
    'Sorts a ticket by subject and urgency, drafts the reply by your policies, and has a person look at it: at urgent ones, at all, ' +
    'or at none. Says whether to send it; sending is yours.',
  agents: [],
  example: {
    subject: 'Charged twice',
    body: 'I was charged twice on my invoice of May. Can I have the money back?',
    customer: 'Ada',
    policies: 'Double charges are refunded within five days.',
  },
  definition: {
    name: 'Support triage',
    parameters: object(
      {
        subject: text(),
        body: { type: 'string', minLength: 1 },
        customer: { ...text('how replies address the customer'), default: 'customer' },
        policies: { ...text('what replies may promise, and facts that they rest on'), default: '' },
        review: {
          enum: ['urgent', 'always', 'never'],
          default: 'urgent',
          description: 'which replies a person looks at',
        },
        model: modelParameter,
      },
      ['subject', 'body'],
    ),
    nodes: {
      classify: {
        type: 'model',
        title: 'Sort the ticket',
        model,
        system:
          'Sort a support ticket. Billing is about invoices and payments, technical about what does not work, account about access and ' +
          'data, other is everything else. Urgent is what costs the customer money or stops their work now. The summary is one sentence ' +
          'for the colleague who looks at the reply.',
        prompt: '${parameters.subject}\n\n${parameters.body}',
        schema: object({ category: { enum: categories }, urgency: { enum: urgencies }, summary: text() }),
        temperature: 0,
        repairs: 2,
      },
      reply: {
        type: 'switch',
        title: 'Draft the reply',
        cases: [
          { when: when('billing'), do: desk('billing', 'It is about an invoice or a payment.') },
          { when: when('technical'), do: desk('technical', 'It is about technical trouble: help step by step.') },
          {
            when: when('account'),
            do: desk('account', 'It is about access or data: ask for no password, and give no data away.'),
          },
        ],
        otherwise: desk('general', 'Say who will take care of it.'),
      },
      review: {
        type: 'approval',
        title: 'A person looks at it',
        when: 'parameters.review == "always" || (parameters.review == "urgent" && nodes.classify.output.urgency == "urgent")',
        ask: 'Send this reply to ${parameters.customer}?',
        details: {
          ticket: '${parameters.subject}',
          summary: '${nodes.classify.output.summary}',
          urgency: '${nodes.classify.output.urgency}',
          reply: '${nodes.reply.output}',
        },
        // a day; then it is not sent
        timeoutMs: 86_400_000,
        onRefusal: 'continue',
      },
      decision: {
        type: 'set',
        title: 'Whether to send it',
        value: {
          category: '${nodes.classify.output.category}',
          urgency: '${nodes.classify.output.urgency}',
          summary: '${nodes.classify.output.summary}',
          reply: '${nodes.reply.output}',
          send: '${nodes.review.status == "skipped" || nodes.review.output.approved}',
          reviewedBy: '${nodes.review.status == "skipped" ? null : nodes.review.output.by}',
          comment:
            '${nodes.review.status != "skipped" && has(nodes.review.output.comment) ? nodes.review.output.comment : null}',
        },
      },
    },
    output: '${nodes.decision.output}',
    outputSchema: object({
      category: { enum: categories },
      urgency: { enum: urgencies },
      summary: text(),
      reply: text(),
      send: { type: 'boolean' },
      reviewedBy: orNull('string', { description: 'null when nobody had to look at it' }),
      comment: orNull('string', { description: 'what the reviewer said' }),
    }),
  },
}
