import type {
  FailureClass,
  FailureFacts,
  IncidentAction,
  PolicyRef,
  RecoveryPolicy,
  RecoveryRule,
  RecoveryStrategy,
  RecoveryTry,
  RejectedAlternative,
} from '@omium/schemas'
import { defaultRecoveryPolicy, hashJson } from '@omium/schemas'
import { retryAfterMsOf } from './classify.ts'

/**
 * From a failure and a policy to what is done about it, and why, and why not something else.
 *
 * 1. The first rule that fits decides; what none of the policy's own rules fits is handled as the built-in policy says.
 * 2. A strategy is tried in an incident as often as its rule says, counted for each class of failure.
 * 3. Once a limit of the incident is reached only what makes no call again is left: a default (once), undoing before giving up,
 *    a person, giving up. Once a limit of the run is reached, a default goes too: the run would go on, and spend on, for ever.
 * 4. The same situation gives the same plan: jitter comes from the incident's id.
 */
export interface Tried {
  readonly strategy: RecoveryStrategy
  readonly class: FailureClass
}

/** How often a strategy was tried for failures like this one, and how often it helped. */
export interface Observed {
  readonly tries: number
  readonly successes: number
  readonly likeness: 'fingerprint' | 'class'
}

export interface Situation {
  readonly incidentId: string
  readonly facts: FailureFacts
  readonly class: FailureClass
  readonly classifiedBy: string
  readonly fingerprint: string
  /** what this incident has tried so far, oldest first */
  readonly tried: readonly Tried[]
  /** what the run has spent since the incident began */
  readonly costMicroCredits: number
  readonly policy: PolicyInForce
  observed(strategy: RecoveryStrategy): Observed | null
  readonly nowMs: number
}

export interface PolicyInForce {
  readonly ref: PolicyRef
  readonly policy: RecoveryPolicy
  /** why it is not the one that the run names */
  readonly note?: string
}

export interface Plan {
  readonly strategy: RecoveryStrategy
  readonly action: IncidentAction
  readonly why: string
  readonly attempt: number
  readonly of: number
  readonly alternatives: readonly RejectedAlternative[]
}

interface Proposal {
  readonly strategy: RecoveryStrategy
  readonly action: IncidentAction
  readonly attempt: number
  readonly of: number
  /** in words, what is done */
  readonly what: string
}
type Considered = Proposal | { readonly strategy: RecoveryStrategy; readonly not: string }

const longestDelayMs = 7 * 86_400_000
const maxWhy = 4000
const enoughTries = 5
/** they are no attempts: no call is made again by them */
const free: ReadonlySet<RecoveryStrategy> = new Set(['skip_with_default', 'ask_person', 'give_up'])
/** never preferred over anything because they worked so well */
const last: ReadonlySet<RecoveryStrategy> = new Set(['ask_person', 'give_up', 'compensate'])
const endless = 1_000_000

/**
 * Whether the text fits the pattern, in which `*` stands for any characters: each part at its first place after the one
 * before it. Policies are tenants' own, so this must not backtrack as a regular expression would.
 */
export const matches = (pattern: string, text: string): boolean => {
  const [head = '', ...rest] = pattern.split('*')
  const tail = rest.pop()
  if (tail === undefined) return text === head
  if (!text.startsWith(head) || !text.endsWith(tail)) return false
  let from = head.length
  for (const part of rest) {
    const found = text.indexOf(part, from)
    if (found < 0) return false
    from = found + part.length
  }
  return from + tail.length <= text.length
}

export const ruleFits = (
  { when }: RecoveryRule,
  { facts, class: failureClass, fingerprint }: Pick<Situation, 'facts' | 'class' | 'fingerprint'>,
): boolean => {
  const { classes, codes, steps, agents, fingerprints } = when
  if (classes && !classes.includes(failureClass)) return false
  if (codes && !facts.chain.some(({ code }) => codes.includes(code))) return false
  if (steps && !steps.some((pattern) => facts.step !== undefined && matches(pattern, facts.step.name))) return false
  if (agents && !agents.some((pattern) => matches(pattern, facts.agentId))) return false
  return !fingerprints || fingerprints.includes(fingerprint)
}

/** Between 80 % and 120 % of the delay, the same for the same incident and try. */
const jittered = (delayMs: number, seed: string): number =>
  Math.round(delayMs * (0.8 + (0.4 * Number.parseInt(hashJson(seed).slice(0, 8), 16)) / 0xffffffff))

const errorText = ({ facts }: Situation): string => {
  const { error } = facts
  return `${error.cause ? `${error.cause.name}: ${error.cause.message}` : `${error.code}: ${error.detail}`}`.slice(
    0,
    2000,
  )
}

const defaultRepair =
  'An earlier answer could not be used: {error}\nAnswer again and keep exactly to the form that was asked for.'

const filled = (instructions: string, situation: Situation): string =>
  instructions.replaceAll('{error}', () => errorText(situation))

/** The point to which the run goes back for the `times`-th time (from 0): null is its beginning. */
export const rollBackPoint = ({ goodPaths, step }: FailureFacts, times: number): string | null =>
  // without a failed step the last result is what the code went on from into the failure
  goodPaths[times + (step ? 0 : 1)] ?? null

/**
 * The point to which the run goes back when all its effects are undone: whatever made one has to run again. One that is out
 * of sight, as those are that were undone before, may lie before everything that is in sight.
 */
export const pointBeforeEffects = ({ goodPaths, effects, effectsMade, effectsUndone }: FailureFacts): string | null => {
  if (effectsMade > effects.length || effectsUndone?.length) return null
  const made = new Set(effects.map(({ path }) => path))
  const inSight = goodPaths.filter((path) => made.has(path))
  if (inSight.length < made.size) return null
  const oldest = inSight.at(-1)
  return goodPaths[(oldest === undefined ? -1 : goodPaths.indexOf(oldest)) + 1] ?? null
}

type Override = { models?: Record<string, string>; instructions?: string; maxInputTokens?: number }

/**
 * The run again, from where its results end. A child that failed is recorded as failed: it only runs again when the run goes
 * back to before it.
 */
const again = (
  { facts }: Situation,
  delayMs: number,
  overrides?: Override,
  avoidWorker = false,
): Extract<IncidentAction, { type: 'retry' | 'roll_back' }> =>
  facts.step?.kind === 'child'
    ? { type: 'roll_back', toPath: rollBackPoint(facts, 0), delayMs, ...(overrides && { overrides }) }
    : { type: 'retry', delayMs, avoidWorker, ...(overrides && { overrides }) }

const seconds = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`)

const consider = (item: RecoveryTry, situation: Situation): Considered => {
  const { facts, tried, policy, incidentId } = situation
  const { strategy } = item
  const used = tried.filter((one) => one.strategy === strategy && one.class === situation.class).length
  const not = (why: string): Considered => ({ strategy, not: why })
  const usedUp = (of: number): Considered | null =>
    used >= of ? not(`it was tried ${used} of ${of} times in this incident`) : null
  const propose = (action: IncidentAction, of: number, what: string): Considered => ({
    strategy,
    action,
    attempt: used + 1,
    of,
    what,
  })
  const ownModels = facts.step?.kind === 'child' ? 'the failure is in a child run, whose model calls are its own' : null

  switch (item.strategy) {
    case 'retry': {
      const backoff = Math.min(item.maxDelayMs, item.initialDelayMs * item.factor ** used)
      const asked = retryAfterMsOf(facts.error)
      const wait = jittered(backoff, `${incidentId}~${tried.length}`)
      const delayMs = Math.min(longestDelayMs, Math.ceil(asked === null ? wait : Math.max(wait, asked)))
      const because = asked !== null && asked >= wait ? ', as long as the provider asked for' : ''
      return (
        usedUp(item.attempts) ??
        propose(again(situation, delayMs), item.attempts, `try again after ${seconds(delayMs)}${because}`)
      )
    }
    case 'other_model': {
      const models = item.models ?? policy.policy.models
      if (models.length === 0) return not('the policy names no fallback models')
      if (ownModels) return not(ownModels)
      const model = models[used]
      if (model === undefined) return usedUp(models.length) ?? not('no fallback model is left')
      return propose(again(situation, 0, { models: { '*': model } }), models.length, `ask the model ${model} instead`)
    }
    case 'smaller_context': {
      if (ownModels) return not(ownModels)
      const limit = item.maxInputTokens[used]
      if (limit === undefined) return usedUp(item.maxInputTokens.length) ?? not('no smaller context is left')
      return propose(
        again(situation, 0, { maxInputTokens: limit }),
        item.maxInputTokens.length,
        `leave out the oldest messages beyond ${limit} tokens`,
      )
    }
    case 'repair_prompt': {
      if (ownModels) return not(ownModels)
      const instructions = filled(item.instructions ?? defaultRepair, situation)
      return (
        usedUp(item.attempts) ??
        propose(again(situation, 0, { instructions }), item.attempts, 'tell the model what was wrong with its answer')
      )
    }
    case 'roll_back': {
      if (facts.stepsCompleted === 0 && item.to === 'last_good_step') return not('the run has no result to go back to')
      const toPath = item.to === 'start' ? null : rollBackPoint(facts, used)
      const overrides = item.instructions && { instructions: filled(item.instructions, situation) }
      return (
        usedUp(item.attempts) ??
        propose(
          { type: 'roll_back', toPath, delayMs: 0, ...(overrides && { overrides }) },
          item.attempts,
          `go back to ${toPath === null ? 'the beginning' : toPath}`,
        )
      )
    }
    case 'skip_with_default':
      if (!facts.step) return not('the code failed between steps: there is no step to give a value to')
      return (
        usedUp(1) ??
        propose(
          { type: 'settle', path: facts.step.path, output: { inline: item.output } },
          1,
          `go on with the default in place of ${facts.step.path}`,
        )
      )
    case 'reassign':
      if (facts.step?.kind === 'child') return not('the failure is in a child run, which has a worker of its own')
      return (
        usedUp(item.attempts) ??
        propose(again(situation, 0, undefined, true), item.attempts, 'hand it to another worker')
      )
    case 'compensate':
      if (facts.effectsMade === 0) return not('the run has made no effect that could be undone')
      if (situation.nowMs + item.timeoutMs > facts.giveUpAt) return not('the run does not wait long enough for it')
      return (
        usedUp(1) ??
        propose(
          {
            type: 'compensate',
            agentId: item.agent,
            afterwards: item.afterwards,
            timeoutMs: item.timeoutMs,
            ...(item.budgetMicroCredits !== undefined && { budgetMicroCredits: item.budgetMicroCredits }),
          },
          1,
          `undo ${facts.effectsMade} effects with ${item.agent}, then ${item.afterwards === 'give_up' ? 'give up' : 'go back'}`,
        )
      )
    case 'ask_person': {
      const untilMs = situation.nowMs + item.timeoutMs
      return propose({ type: 'hold', untilMs }, endless, `ask a person, until ${new Date(untilMs).toISOString()}`)
    }
    case 'give_up':
      return propose({ type: 'give_up' }, 1, 'give up')
  }
}

/** A limit that is reached: what stays allowed depends on whose it is. */
interface Exhausted {
  readonly of: 'incident' | 'run'
  readonly why: string
}

const exhausted = ({ facts, tried, costMicroCredits, policy }: Situation): Exhausted | null => {
  const { limits } = policy.policy
  const { costMicroCreditsPerIncident: perIncident, costMicroCreditsPerRun: perRun } = limits
  if (facts.recoveries >= limits.attemptsPerRun) {
    return { of: 'run', why: `the run had its ${limits.attemptsPerRun} recoveries` }
  }
  if (perRun !== undefined && facts.costMicroCredits >= perRun) {
    return { of: 'run', why: `the run has cost ${facts.costMicroCredits} of ${perRun} micro-credits` }
  }
  const attempts = tried.filter(({ strategy }) => !free.has(strategy)).length
  if (attempts >= limits.attemptsPerIncident) {
    return { of: 'incident', why: `the incident had its ${limits.attemptsPerIncident} attempts` }
  }
  if (perIncident !== undefined && costMicroCredits >= perIncident) {
    return { of: 'incident', why: `the incident has cost ${costMicroCredits} of ${perIncident} micro-credits` }
  }
  return null
}

const staysAllowed = ({ strategy, action }: Proposal, limit: Exhausted): boolean => {
  if (action.type === 'compensate') return action.afterwards === 'give_up'
  return free.has(strategy) && !(limit.of === 'run' && action.type === 'settle')
}

const ruleFor = (situation: Situation): { rule: RecoveryRule; source: string } => {
  const { ref, policy } = situation.policy
  const own = policy.rules.findIndex((rule) => ruleFits(rule, situation))
  const ownRule = policy.rules[own]
  if (ownRule) return { rule: ownRule, source: `rule ${own + 1} of ${nameOf(ref)}` }
  const builtIn = defaultRecoveryPolicy.rules.findIndex((rule) => ruleFits(rule, situation))
  const rule = defaultRecoveryPolicy.rules[builtIn]
  if (!rule) throw new RangeError('the built-in policy has a rule for every failure')
  return { rule, source: `rule ${builtIn + 1} of the built-in policy` }
}

const nameOf = ({ name, version }: PolicyRef): string =>
  version === 0 ? 'the built-in policy' : `policy ${name} v${version}`

const scoreOf = (observed: Observed | null): number | null =>
  observed && observed.tries >= enoughTries ? (observed.successes + 1) / (observed.tries + 2) : null

/** Best first by what was observed; what was seen too seldom keeps its place behind what is known to help half the time. */
const byObservation = (proposals: readonly Proposal[], situation: Situation): Proposal[] => {
  const score = (proposal: Proposal): number =>
    last.has(proposal.strategy) ? -1 : (scoreOf(situation.observed(proposal.strategy)) ?? 0.5)
  return [...proposals].sort((a, b) => score(b) - score(a))
}

const observation = (situation: Situation, strategy: RecoveryStrategy): string => {
  const observed = situation.observed(strategy)
  if (!observed || observed.tries === 0) return ''
  const like = observed.likeness === 'fingerprint' ? 'this very failure' : `failures of class ${situation.class}`
  return `it has helped in ${observed.successes} of ${observed.tries} cases of ${like}`
}

export const makePlan = (situation: Situation): Plan => {
  const { rule, source } = ruleFor(situation)
  const limit = exhausted(situation)
  const considered = rule.try.map((item): Considered => {
    const one = consider(item, situation)
    if (limit === null || 'not' in one || staysAllowed(one, limit)) return one
    return { strategy: one.strategy, not: limit.why }
  })
  const proposals = considered.filter((one): one is Proposal => !('not' in one))
  const preferObserved = situation.policy.policy.prefer === 'best_observed'
  const ordered = preferObserved ? byObservation(proposals, situation) : proposals
  const fallback = consider({ strategy: 'ask_person', timeoutMs: 86_400_000 }, situation) as Proposal
  const chosen = ordered[0] ?? fallback
  const alternatives = considered.flatMap((one): RejectedAlternative[] => {
    if (one === chosen) return []
    if ('not' in one) return [{ strategy: one.strategy, why: one.not }]
    const seen = preferObserved ? observation(situation, one.strategy) : ''
    return [{ strategy: one.strategy, why: `${chosen.strategy} comes first${seen && `; ${seen}`}` }]
  })
  const { note } = situation.policy
  const seen = observation(situation, chosen.strategy)
  const why = [
    `${situation.class} (${situation.classifiedBy})`,
    note,
    ordered.length > 0 ? `${source} says: ${chosen.what}` : `nothing that ${source} names is left: ${chosen.what}`,
    limit?.why,
    preferObserved && seen ? `preferred because ${seen}` : seen,
  ]
    .filter(Boolean)
    .join('; ')
    .slice(0, maxWhy)
  const { strategy, action, attempt, of } = chosen
  return { strategy, action, why, attempt, of, alternatives }
}
