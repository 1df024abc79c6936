import type {
  WebhookDisabledReason,
  WebhookEndpointEvent,
  WebhookMessage,
  WebhookReplayRange,
  WebhookSpec,
} from '@omium/schemas'

/** One receiver of webhooks, and what it has not been told yet. What was delivered, or given up, is not kept. */
export interface Endpoint {
  readonly tenant: string
  readonly id: string
  readonly correlationId: string
  readonly createdAt: number
  readonly spec: WebhookSpec
  /** undefined: enabled */
  readonly disabled: WebhookDisabledReason | undefined
  /** newest first, all of which sign until their time; the first one has none */
  readonly secrets: readonly Secret[]
  /** since when every attempt has failed */
  readonly failingSince: number | undefined
  /** by message id, in the order in which they were asked for. Changed in place: there may be thousands */
  readonly pending: Map<string, Pending>
  readonly replays: ReadonlyMap<string, WebhookReplayRange>
}

export interface Secret {
  readonly id: string
  readonly until?: number
}

export interface Pending {
  readonly message: WebhookMessage
  /** attempts that failed */
  readonly attempts: number
  /** not before then */
  readonly nextAt: number
}

export interface EventIdentity {
  readonly tenant: string
  readonly id: string
  readonly correlationId: string
  readonly time: number
}

/** @returns undefined: it is removed */
export const evolve = (
  state: Endpoint | undefined,
  { type, data }: WebhookEndpointEvent,
  { tenant, id, correlationId, time }: EventIdentity,
): Endpoint | undefined => {
  if (type === 'WebhookEndpointCreated')
    return {
      tenant,
      id,
      correlationId,
      createdAt: time,
      spec: data.spec,
      disabled: undefined,
      secrets: [{ id: data.secretId }],
      failingSince: undefined,
      pending: new Map(),
      replays: new Map(),
    }
  if (!state) throw new RangeError(`${type} of an endpoint that was never created`)
  switch (type) {
    case 'WebhookEndpointChanged':
      return { ...state, spec: data.spec }
    case 'WebhookEndpointEnabled':
      return { ...state, disabled: undefined, failingSince: undefined }
    case 'WebhookEndpointDisabled':
      return { ...state, disabled: data.reason, pending: new Map(), replays: new Map() }
    case 'WebhookSecretRotated': {
      const [current, ...older] = state.secrets
      const previous = current ? [{ id: current.id, until: data.previousUntil }] : []
      const stillSigning = older.filter(({ until = 0 }) => until > time)
      return { ...state, secrets: [{ id: data.secretId }, ...previous, ...stillSigning] }
    }
    case 'WebhookDeliveryRequested':
      state.pending.set(data.message.id, { message: data.message, attempts: 0, nextAt: time })
      return state
    case 'WebhookDeliveryAttempted': {
      const pending = state.pending.get(data.messageId)
      if (pending && data.nextAt !== undefined)
        state.pending.set(data.messageId, { ...pending, attempts: data.attempt, nextAt: data.nextAt })
      else state.pending.delete(data.messageId)
      return { ...state, failingSince: data.result === 'delivered' ? undefined : (state.failingSince ?? data.at) }
    }
    case 'WebhookReplayRequested':
      return { ...state, replays: new Map([...state.replays, [data.replayId, data.range]]) }
    case 'WebhookReplayFinished':
      return { ...state, replays: new Map([...state.replays].filter(([replay]) => replay !== data.replayId)) }
    case 'WebhookDeliveryDropped':
      return state
    case 'WebhookEndpointRemoved':
      return undefined
  }
}

/** Ids of the secrets that a message is signed with now, newest first. */
export const signingSecrets = ({ secrets }: Pick<Endpoint, 'secrets'>, nowMs: number): readonly string[] =>
  secrets.filter(({ until = Number.POSITIVE_INFINITY }) => until > nowMs).map(({ id }) => id)
