import { ContextView, type ContextViewOptions } from '@omium/kit'
import type { AcceptedEvent } from '@omium/log'
import {
  defaultRecoveryPolicy,
  parseAggregateKey,
  type RecoveryContextEvent,
  type RecoveryPolicy,
  type RecoveryStrategy,
} from '@omium/schemas'
import type { Diagnosis, Knowledge } from './domain/decide.ts'
import type { Observed, PolicyInForce } from './domain/plan.ts'

/**
 * What every decision may rest on beside its incident: the tenants' policies, and how often which strategy has helped. Both
 * are folds of the recovery context's own events over all partitions; nothing else is learned, and nothing in secret.
 *
 * 1. {@link open} resolves when everything that was on the log by then is known: no decision rests on an older policy.
 * 2. A policy that is named and does not exist is no error of the run: the built-in one decides, and the plan says so.
 * 3. A person's answer counts for nothing here: what people decide is theirs.
 */
const wanted: ReadonlySet<string> = new Set<RecoveryContextEvent['type']>([
  'RecoveryPolicyPublished',
  'RecoveryPolicyRetired',
  'RecoverySucceeded',
  'RecoveryFailed',
])

const mostFingerprints = 50_000

interface Count {
  tries: number
  successes: number
}

export class KnowledgeBook {
  readonly #policies = new Map<string, { version: number; policy: RecoveryPolicy | null }>()
  readonly #byClass = new Map<string, Count>()
  readonly #byFingerprint = new Map<string, Count>()
  readonly #view: ContextView

  /** @param port the recovery context, a clock, and where to complain */
  constructor(port: Pick<ContextViewOptions, 'context' | 'clock' | 'notices'>) {
    this.#view = new ContextView({
      ...port,
      wants: ({ type }) => wanted.has(type),
      learn: (event) => this.#learn(event),
    })
  }

  /** Reads on until it is closed, once what is on the log now is known. */
  async open(): Promise<void> {
    await this.#view.open()
    await this.#view.current()
  }

  close(): Promise<void> {
    return this.#view.close()
  }

  at(nowMs: number): Knowledge {
    return {
      nowMs,
      policy: (tenant, name) => this.policy(tenant, name),
      observed: (tenant, failure, strategy) => this.#observed(tenant, failure, strategy),
    }
  }

  policy(tenant: string, name: string): PolicyInForce {
    const known = this.#policies.get(`${tenant}/${name}`)
    if (known?.policy) return { ref: { name, version: known.version }, policy: known.policy }
    const builtIn = { ref: { name, version: 0 }, policy: defaultRecoveryPolicy }
    if (name === 'default') return builtIn
    const note = known ? `policy ${name} is retired` : `there is no policy ${name}`
    return { ...builtIn, note: `${note}: the built-in one decides` }
  }

  #observed(tenant: string, failure: Diagnosis, strategy: RecoveryStrategy): Observed | null {
    const exact = this.#byFingerprint.get(`${tenant}/${failure.fingerprint}/${strategy}`)
    if (exact && exact.tries >= 5) return { ...exact, likeness: 'fingerprint' }
    const alike = this.#byClass.get(`${tenant}/${failure.class}/${strategy}`)
    return alike ? { ...alike, likeness: 'class' } : null
  }

  #learn({ envelope, type, data }: AcceptedEvent): void {
    const { tenant } = envelope
    const event = { type, data } as RecoveryContextEvent
    const key = `${tenant}/${parseAggregateKey(envelope.aggregate)?.id ?? ''}`
    switch (event.type) {
      case 'RecoveryPolicyPublished':
        this.#policies.set(key, { version: event.data.version, policy: event.data.policy })
        return
      case 'RecoveryPolicyRetired': {
        const known = this.#policies.get(key)
        if (known) this.#policies.set(key, { ...known, policy: null })
        return
      }
      case 'RecoverySucceeded':
      case 'RecoveryFailed': {
        const { class: failureClass, fingerprint, strategy } = event.data
        const success = event.type === 'RecoverySucceeded'
        count(this.#byClass, `${tenant}/${failureClass}/${strategy}`, success)
        count(this.#byFingerprint, `${tenant}/${fingerprint}/${strategy}`, success)
        return
      }
    }
  }
}

const count = (counts: Map<string, Count>, key: string, success: boolean): void => {
  const known = counts.get(key) ?? { tries: 0, successes: 0 }
  counts.delete(key)
  counts.set(key, { tries: known.tries + 1, successes: known.successes + (success ? 1 : 0) })
  if (counts.size > mostFingerprints) counts.delete(counts.keys().next().value as string)
}
