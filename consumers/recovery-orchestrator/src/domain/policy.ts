import { hashJson, type RecoveryPolicy, type RecoveryPolicyCommand, type RecoveryPolicyEvent } from '@omium/schemas'
import type { Decision } from './decide.ts'

/** A tenant's policy of one name. Versions count up and never change; a retired policy keeps counting when it comes back. */
export interface PolicyState {
  readonly version: number
  /** null while it is retired */
  readonly policy: RecoveryPolicy | null
  readonly hash: string
}

export const decidePolicyCommand = (
  state: PolicyState | undefined,
  command: RecoveryPolicyCommand,
  by: string,
): Decision<RecoveryPolicyEvent> => {
  if (command.type === 'RetireRecoveryPolicy') {
    if (!state) return { status: 'refused', code: 'not_found', detail: 'there is no policy of this name' }
    return { status: 'decided', events: state.policy ? [{ type: 'RecoveryPolicyRetired', data: { by } }] : [] }
  }
  const { policy, note, expectedVersion } = command.data
  const version = state?.version ?? 0
  if (expectedVersion !== undefined && expectedVersion !== version) {
    const detail = `the policy has version ${version}, not ${expectedVersion}: read it again`
    return { status: 'refused', code: 'policy_conflict', detail }
  }
  if (state?.policy && state.hash === hashJson(policy)) return { status: 'decided', events: [] }
  const data = { version: version + 1, policy, by, ...(note !== undefined && { note }) }
  return { status: 'decided', events: [{ type: 'RecoveryPolicyPublished', data }] }
}

export const evolvePolicy = (state: PolicyState | undefined, event: RecoveryPolicyEvent): PolicyState => {
  if (event.type === 'RecoveryPolicyPublished') {
    const { version, policy } = event.data
    return { version, policy, hash: hashJson(policy) }
  }
  if (!state) throw new RangeError('a policy is retired after it was published')
  return { ...state, policy: null }
}
