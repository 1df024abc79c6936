import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Counter, Gauge, type Notices } from '@omium/kit'
import { OmiumError } from '@omium/schemas'
import type { Authorizer } from './authorizer.ts'
import { createCedarAuthorizer } from './cedar.ts'
import { createPolicies, type Policies, type PolicyOptions } from './policies.ts'

/**
 * The policies of the file that the installation names, and of what becomes of it.
 *
 * 1. The file is looked at every second: a changed one takes effect within three, without a restart. It is read rather than
 *    watched, since that works however it is replaced (an editor, a rename, a mounted map whose links are switched).
 * 2. What is new counts once two looks saw the same, so that a file that is still being written is not taken for a shorter one.
 * 3. Only policies without a mistake replace those in force. Else these stay, and it is said: in the log, in metrics, beside
 *    readiness (`problem`).
 */
export interface InstalledPolicies extends Policies {
  /** for the registry of whoever asks */
  readonly metrics: readonly (Counter | Gauge)[]
  /** null while what the file says is in force, otherwise why not */
  problem(): string | null
  /** Tells each time that other policies are in force. @returns the way to stop */
  onChanged(listener: () => void): () => void
  close(): void
}

export interface InstalledPolicyOptions extends PolicyOptions {
  readonly notices: Pick<Notices, 'info' | 'error'>
  readonly lookEveryMs?: number
}

/** what a look saw; undefined: the file cannot be read */
type Seen = string | undefined

/**
 * @param file with policies in Cedar; undefined: there are none, and nothing is loaded
 * @throws OmiumError `settings_invalid` with everything that is wrong
 */
export const openPolicies = async (
  file: string | undefined,
  { notices, lookEveryMs = 1_000, ...options }: InstalledPolicyOptions,
): Promise<InstalledPolicies | undefined> => {
  if (file === undefined) return undefined
  const onError = (message: string, error: unknown) => notices.error({ err: error }, message)
  const setId = randomUUID()
  const parse = (text: string): Promise<Authorizer> => createCedarAuthorizer(text, file, onError, setId)
  const missing = (cause?: unknown) =>
    new OmiumError('settings_invalid', `OMIUM_POLICIES_FILE: ${file} cannot be read`, { cause })
  let inForce: string = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw missing(cause)
  })
  let authorizer = await parse(inForce)
  let seen: Seen = inForce
  let decidedOn: Seen = inForce
  let problem: string | null = null
  const listeners = new Set<() => void>()
  const reloads = new Counter({
    name: 'omium_policy_reloads_total',
    help: 'Changes of the policies file, by what became of them: taken, or refused for a mistake',
    labelNames: ['outcome'] as const,
    registers: [],
  })
  const stale = new Gauge({
    name: 'omium_policies_stale',
    help: '1 while older policies are in force than those of the file',
    registers: [],
    collect() {
      this.set(problem === null ? 0 : 1)
    },
  })

  const refuse = (error: unknown): void => {
    problem = `${(error as Error).message}\nThe policies that were read before stay in force`
    reloads.inc({ outcome: 'refused' })
    notices.error(
      { err: error, file },
      'the policies file is not taken; the policies that were read before stay in force',
    )
  }
  const decide = async (found: Seen): Promise<void> => {
    if (found === inForce) {
      problem = null
      return
    }
    try {
      if (found === undefined) throw missing()
      authorizer = await parse(found)
      inForce = found
    } catch (error) {
      return refuse(error)
    }
    problem = null
    reloads.inc({ outcome: 'taken' })
    notices.info({ file }, 'other policies are in force')
    for (const listener of listeners) listener()
  }
  const look = async (): Promise<void> => {
    const found = await readFile(file, 'utf8').catch((): Seen => undefined)
    const isSettled = found === seen
    seen = found
    if (!isSettled || found === decidedOn) return
    decidedOn = found
    await decide(found)
  }
  let looking = false
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    void look().finally(() => {
      looking = false
    })
  }, lookEveryMs).unref()

  const policies = createPolicies({ decide: (request) => authorizer.decide(request) }, options)
  return {
    ...policies,
    metrics: [policies.denials, reloads, stale],
    problem: () => problem,
    onChanged: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    close: () => clearInterval(timer),
  }
}
