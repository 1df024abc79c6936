import type { FailureClass, RecoveryStrategy } from '@omium/schemas'

/**
 * What is injected, and what has to come of it: the one table that the bench and its spec are judged by.
 *
 * A failure is overcome by a strategy of the recovery orchestrator, is put before a person, or never gets that far: the
 * platform hands a run on whose worker dies (`handed on`), and a framework copes by itself (`framework`): it tells its model
 * what a tool raised, or asks again by a policy of its own. Then there is no incident.
 */
export const frameworks = ['typescript', 'plain', 'langgraph', 'crewai', 'autogen', 'semantic_kernel'] as const
export type Framework = (typeof frameworks)[number]

export const faults = [
  'transient_provider',
  'rate_limit',
  'timeout',
  'tool_error',
  'bad_model_output',
  'context_length',
  'loop',
  'stall',
  'budget',
  'poison_input',
  'code_bug',
  'worker_crash',
] as const satisfies readonly FailureClass[]
export type Fault = (typeof faults)[number]

export type Outcome = RecoveryStrategy | 'handed on' | 'framework'

export interface Expected {
  /** what is injected, in words */
  readonly injected: string
  readonly outcome: Outcome
  /** where a framework does otherwise, and why it may */
  readonly otherwise?: Partial<Record<Framework, Outcome>>
  /** how often the run's tool acts; what was recorded is never done again */
  readonly acts: number | 'many'
}

export const expected: Readonly<Record<Fault, Expected>> = {
  transient_provider: { injected: 'the provider answers 503', outcome: 'retry', acts: 1 },
  rate_limit: {
    injected: 'the provider answers 429 and names a time',
    outcome: 'retry',
    // it asks a provider three times that says 429, whatever else that says
    otherwise: { crewai: 'framework' },
    acts: 1,
  },
  timeout: { injected: 'the model, or a step, does not answer in time', outcome: 'retry', acts: 1 },
  tool_error: {
    injected: 'the tool raises once',
    // a graph's node and a step let the error through, the others tell it to their model
    outcome: 'retry',
    otherwise: { crewai: 'framework', autogen: 'framework', semantic_kernel: 'framework' },
    acts: 2,
  },
  bad_model_output: { injected: 'an answer that cannot be read', outcome: 'repair_prompt', acts: 1 },
  context_length: { injected: 'the request is longer than the model takes', outcome: 'smaller_context', acts: 1 },
  loop: { injected: 'the model asks for one call again and again', outcome: 'roll_back', acts: 'many' },
  stall: { injected: 'the tool never returns', outcome: 'reassign', acts: 2 },
  budget: { injected: 'an answer costs more than the run may', outcome: 'ask_person', acts: 1 },
  poison_input: { injected: 'an input of another shape', outcome: 'ask_person', acts: 0 },
  code_bug: { injected: 'user code uses what is not there', outcome: 'ask_person', acts: 1 },
  worker_crash: { injected: 'SIGKILL to the worker within the tool', outcome: 'handed on', acts: 2 },
}

export const outcomeOf = (fault: Fault, framework: Framework): Outcome =>
  expected[fault].otherwise?.[framework] ?? expected[fault].outcome

/** Of the policies that the runs name: one strategy a class, no delays. What they leave out is for the built-in policy. */
export const policies = {
  matrix: {
    loops: { repeats: 4, window: 12 },
    stalls: null,
    rules: [
      {
        when: { classes: ['transient_provider', 'rate_limit', 'timeout', 'tool_error'] },
        try: [{ strategy: 'retry', initialDelayMs: 0 }, { strategy: 'give_up' }],
      },
      { when: { classes: ['bad_model_output'] }, try: [{ strategy: 'repair_prompt' }, { strategy: 'give_up' }] },
      {
        when: { classes: ['context_length'] },
        try: [{ strategy: 'smaller_context', maxInputTokens: [300] }, { strategy: 'give_up' }],
      },
      {
        when: { classes: ['loop'] },
        try: [{ strategy: 'roll_back', instructions: 'Stop: {error}' }, { strategy: 'give_up' }],
      },
      { when: { classes: ['stall', 'worker_crash'] }, try: [{ strategy: 'reassign' }, { strategy: 'give_up' }] },
    ],
  },
} as const

/** For runs that stand still: any other run may be slow on a busy machine. */
export const stallAfterMs = 8000
export const policyNameOf = (fault: Fault): string => (fault === 'stall' ? 'matrix-stall' : 'matrix')
