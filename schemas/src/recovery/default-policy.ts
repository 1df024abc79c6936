import { type RecoveryPolicy, recoveryPolicy } from './model.ts'

/**
 * The built-in policy, version 0 of every name: what is done where a tenant's own policy says nothing. Cheap and harmless
 * things first, a person last; nothing that has an effect of its own is undone or skipped without having been asked for.
 */
const hours = (count: number): number => count * 3_600_000
const person = { strategy: 'ask_person', timeoutMs: hours(24) } as const

export const defaultRecoveryPolicy: RecoveryPolicy = recoveryPolicy.parse({
  description:
    'The built-in policy: wait and try again, another model, a smaller context, a better prompt; then a person.',
  rules: [
    {
      when: { classes: ['rate_limit', 'transient_provider'] },
      try: [
        { strategy: 'retry', attempts: 5, initialDelayMs: 1_000, factor: 3, maxDelayMs: 120_000 },
        { strategy: 'other_model' },
        person,
      ],
    },
    {
      when: { classes: ['timeout'] },
      try: [
        { strategy: 'retry', attempts: 2, initialDelayMs: 500 },
        { strategy: 'reassign' },
        { strategy: 'other_model' },
        person,
      ],
    },
    {
      when: { classes: ['tool_error'] },
      try: [
        { strategy: 'retry', attempts: 3, initialDelayMs: 500, factor: 4 },
        { strategy: 'roll_back', instructions: 'A tool failed before: {error}\nTake another way if there is one.' },
        person,
      ],
    },
    {
      when: { classes: ['bad_model_output'] },
      try: [{ strategy: 'repair_prompt', attempts: 2 }, { strategy: 'other_model' }, person],
    },
    {
      when: { classes: ['context_length'] },
      try: [
        { strategy: 'smaller_context', maxInputTokens: [32_000, 8_000, 2_000] },
        { strategy: 'other_model' },
        person,
      ],
    },
    {
      when: { classes: ['loop'] },
      try: [
        {
          strategy: 'roll_back',
          instructions: 'You repeated the same call without getting anywhere: {error}\nDo something else, or finish.',
        },
        { strategy: 'other_model' },
        person,
      ],
    },
    { when: { classes: ['stall'] }, try: [{ strategy: 'reassign', attempts: 2 }, person] },
    { when: { classes: ['worker_crash'] }, try: [{ strategy: 'reassign', attempts: 2 }, person] },
    {
      when: { classes: ['platform'] },
      try: [{ strategy: 'retry', attempts: 6, initialDelayMs: 1_000, factor: 3, maxDelayMs: 300_000 }, person],
    },
    // trying again would fail in the same way, cost money, or go over somebody's head
    { when: {}, try: [person] },
  ],
})
