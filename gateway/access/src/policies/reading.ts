import type { DetailedError } from '@cedar-policy/cedar-wasm/nodejs'
import { OmiumError } from '@omium/schemas'
import { vocabulary } from './vocabulary.ts'

export type Cedar = typeof import('@cedar-policy/cedar-wasm/nodejs')

/** Policies by the ids that they give themselves. */
export type NamedPolicies = Readonly<Record<string, string>>

interface Problem {
  /** in bytes from the beginning of the file */
  readonly at: number
  readonly what: string
}

/** they are labels of metrics and go to callers */
const acceptableId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/**
 * Reads policies and checks them against the vocabulary.
 * @param where names the text in errors
 * @throws OmiumError `settings_invalid` with one line for each thing that is wrong: place, policy, what
 */
export const readPolicies = (cedar: Cedar, text: string, where: string): NamedPolicies => {
  const parts = cedar.policySetTextToParts(text)
  if (parts.type === 'failure') throw invalid(text, where, parts.errors.map(problemAt(0)))
  const problems: Problem[] = []
  const byId: Record<string, string> = {}
  const starts = new Map<string, number>()
  for (const policy of [...parts.policies, ...parts.policy_templates]) {
    // parts are as they stand in the file, but do not say where
    const start = Buffer.byteLength(text.slice(0, text.indexOf(policy)))
    const { id, problem } = named(cedar, policy)
    if (problem !== undefined) problems.push({ at: start, what: problem })
    else if (starts.has(id)) problems.push({ at: start, what: `${id}: another policy has this @id` })
    else {
      byId[id] = policy
      starts.set(id, start)
    }
  }
  const answer = cedar.validate({ schema: vocabulary, policies: { staticPolicies: byId } })
  if (answer.type === 'failure') problems.push(...answer.errors.map(problemAt(0)))
  else {
    const faulty = new Set(answer.validationErrors.map(({ policyId }) => policyId))
    // a policy that can never apply is a mistake too, if nothing else says why
    const warnings = answer.validationWarnings.filter(({ policyId }) => !faulty.has(policyId))
    for (const { policyId, error } of [...answer.validationErrors, ...warnings])
      problems.push(problemAt(starts.get(policyId) ?? 0)(error))
  }
  if (problems.length > 0) throw invalid(text, where, problems)
  return byId
}

const named = (cedar: Cedar, policy: string): { id: string; problem?: string } => {
  const json = cedar.policyToJson(policy)
  if (json.type === 'failure') return { id: '', problem: 'a template: nothing fills in what it leaves open' }
  const { effect, annotations } = json.json
  const id = annotations?.['id'] ?? ''
  if (!acceptableId.test(id))
    return { id, problem: 'a policy needs an @id("...") of letters, digits, dots, dashes and underscores, at most 64' }
  if (effect === 'permit')
    return { id, problem: `${id}: roles and keys permit, policies forbid: write what is forbidden` }
  return { id }
}

const problemAt =
  (start: number) =>
  ({ message, help, sourceLocations }: DetailedError): Problem => {
    const [location] = sourceLocations ?? []
    const more = [location?.label, help].filter((one) => typeof one === 'string')
    return { at: start + (location?.start ?? 0), what: [message, ...more].join('; ') }
  }

const invalid = (text: string, where: string, problems: readonly Problem[]): OmiumError => {
  const bytes = Buffer.from(text)
  // one place is told once, although every action for which it is wrong has a message
  const places = new Map([...problems].reverse().map(({ at, what }) => [at, what]))
  const lines = [...places]
    .sort(([a], [b]) => a - b)
    .map(([at, what]) => {
      const before = bytes.subarray(0, at).toString().split('\n')
      return `  ${where}:${before.length}:${(before.at(-1)?.length ?? 0) + 1} ${what}`
    })
  return new OmiumError(
    'settings_invalid',
    `${where}: ${lines.length} bad polic${lines.length === 1 ? 'y' : 'ies'}\n${lines.join('\n')}`,
  )
}
