import { hashJson, type SsoConnection, type SsoConnectionCommand, type SsoConnectionEvent } from '@omium/schemas'
import { type Asked, type Decision, decided, refused } from './decision.ts'

/**
 * A connection to a tenant's identity provider.
 *
 * 1. Only an active one signs in: an assertion is taken here, by the log, so switching off counts at once.
 * 2. An assertion is taken once, whichever process it comes to. It is remembered until nobody would take it any more, so what is
 *    remembered is bounded by how many sign in within an assertion's life.
 * 3. What kind it is never changes: another kind is another connection.
 * 4. Deleted is for ever, and destroys what its secrets could be opened with.
 */
export interface SsoConnectionState {
  readonly id: string
  readonly correlationId: string
  /** `deleting`: its secrets are still to be destroyed */
  status: 'draft' | 'active' | 'disabled' | 'deleting' | 'deleted'
  readonly kind: SsoConnection['settings']['kind']
  /** of the whole connection: the same again is nothing new */
  hash: string
  /** until when each assertion is remembered, by digest */
  readonly taken: Record<string, number>
}

const hashOf = ({ name, domains, settings, rules, defaultRole }: SsoConnection): string =>
  hashJson({ name, domains, settings, rules, defaultRole: defaultRole ?? null })

interface Place {
  readonly id: string
  readonly correlationId: string
}

/** Changes the state that it is given. */
export const evolveSsoConnection = (
  before: SsoConnectionState | undefined,
  { type, data }: SsoConnectionEvent,
  { id, correlationId }: Place,
): SsoConnectionState => {
  if (type === 'SsoConnectionCreated')
    return { id, correlationId, status: 'draft', kind: data.settings.kind, hash: hashOf(data), taken: {} }
  const state = before
  if (!state) throw new RangeError(`${type} of a connection that was never created`)
  switch (type) {
    case 'SsoConnectionChanged':
      state.hash = hashOf(data)
      break
    case 'SsoConnectionActivated':
      state.status = 'active'
      break
    case 'SsoConnectionDisabled':
      state.status = 'disabled'
      break
    case 'SsoConnectionDeleted':
      state.status = 'deleting'
      break
    case 'SsoSecretsDestroyed':
      state.status = 'deleted'
      break
    case 'AssertionTaken':
      for (const [assertion, expiresAt] of Object.entries(state.taken))
        if (expiresAt <= data.at) delete state.taken[assertion]
      state.taken[data.assertion] = data.expiresAt
      break
    case 'SsoConnectionTested':
      break
  }
  return state
}

export const decideSsoConnection = (
  state: SsoConnectionState | undefined,
  { type, data }: SsoConnectionCommand,
  id: string,
  { actor: by, nowMs }: Asked,
): Decision<SsoConnectionEvent> => {
  if (type === 'CreateSsoConnection') {
    if (!state) return decided({ type: 'SsoConnectionCreated', data: { ...data, by } })
    if (state.hash === hashOf(data)) return decided()
    return refused('identity_conflict', `there is another connection ${id}`)
  }
  if (!state || state.status === 'deleting' || state.status === 'deleted')
    return refused('sso_connection_unknown', `there is no connection ${id}`)
  switch (type) {
    case 'ChangeSsoConnection':
      if (state.kind !== data.settings.kind)
        return refused('identity_conflict', `the connection ${id} is of the kind ${state.kind}: create another one`)
      return state.hash === hashOf(data) ? decided() : decided({ type: 'SsoConnectionChanged', data: { ...data, by } })
    case 'ActivateSsoConnection':
      return state.status === 'active' ? decided() : decided({ type: 'SsoConnectionActivated', data: { by } })
    case 'DisableSsoConnection':
      return state.status === 'disabled' ? decided() : decided({ type: 'SsoConnectionDisabled', data: { by } })
    case 'DeleteSsoConnection':
      return decided({ type: 'SsoConnectionDeleted', data: { by } })
    case 'RecordSsoTest':
      return decided({ type: 'SsoConnectionTested', data: { ...data, by, at: nowMs } })
    case 'TakeAssertion': {
      if (state.status !== 'active') return refused('sign_in_refused', 'this way in is switched off')
      if (data.expiresAt <= nowMs) return refused('sso_assertion_refused', 'the assertion has expired')
      if ((state.taken[data.assertion] ?? 0) > nowMs)
        return refused('sso_assertion_refused', 'the assertion was used before')
      return decided({ type: 'AssertionTaken', data: { ...data, at: nowMs } })
    }
  }
}
