import { type RecoveryPolicy, recoveryPolicy } from './model.ts'

/** A place in a policy (JSON pointer, RFC 6901) and what is wrong there. */
export interface PolicyProblem {
  readonly path: string
  readonly message: string
}

export interface PolicyVerdict {
  /** with every default filled in; absent when there are errors */
  readonly policy?: RecoveryPolicy
  readonly errors: readonly PolicyProblem[]
  /** it can be published, and does not do what its author may think */
  readonly warnings: readonly PolicyProblem[]
}

const pointer = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

interface Issue {
  readonly path: readonly PropertyKey[]
  readonly message: string
  readonly code?: string | undefined
  readonly keys?: readonly string[]
}

const told = ({ path, message, code, keys }: Issue): PolicyProblem[] =>
  code === 'unrecognized_keys' && keys
    ? keys.map((key) => ({ path: pointer([...path, key]), message: 'there is no such setting here' }))
    : [{ path: pointer(path), message }]

/** Everything that is wrong with a policy at once. */
export const validateRecoveryPolicy = (value: unknown): PolicyVerdict => {
  const parsed = recoveryPolicy.safeParse(value)
  if (!parsed.success) return { errors: parsed.error.issues.flatMap((issue) => told(issue as Issue)), warnings: [] }
  const policy = parsed.data
  const errors: PolicyProblem[] = []
  const warnings: PolicyProblem[] = []
  const { loops } = policy
  if (loops && loops.repeats > loops.window) {
    errors.push({ path: '/loops/repeats', message: `cannot be more than the window of ${loops.window} calls` })
  }
  let everything: number | null = null
  policy.rules.forEach((rule, r) => {
    if (everything !== null) {
      warnings.push({ path: `/rules/${r}`, message: `is never reached: /rules/${everything} fits every failure` })
    } else if (Object.keys(rule.when).length === 0) everything = r
    rule.try.forEach((item, t) => {
      const path = `/rules/${r}/try/${t}`
      if (item.strategy === 'other_model' && !item.models && policy.models.length === 0) {
        warnings.push({ path, message: 'names no models, and neither does /models: it is always passed over' })
      }
      const final = item.strategy === 'ask_person' || item.strategy === 'give_up'
      if (final && t < rule.try.length - 1) {
        warnings.push({ path: `/rules/${r}/try/${t + 1}`, message: `is never reached: ${path} can always be done` })
      }
      if (rule.try.slice(0, t).some(({ strategy }) => strategy === item.strategy)) {
        warnings.push({ path, message: `${item.strategy} is named before; tries are counted by strategy` })
      }
    })
  })
  return { ...(errors.length === 0 && { policy }), errors, warnings }
}
