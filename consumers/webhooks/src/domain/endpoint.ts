import type {
  WebhookDisabledReason,
  WebhookEndpointEvent,
  WebhookMessage,
  WebhookReplayRange,
  WebhookSpec,
} from '@omium/schemas'

/**
 * One receiver of webhooks, and what it has not been told yet. Of what was delivered, or given up, only the time is kept: lists
 * have it until it is forgotten.
 */
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
  /** when deliveries and replays ended that lists still have; undefined: there are none */
  readonly ended: Ended | undefined
}

/** ms since the epoch; `first` is a bound: nothing ended before */
export interface Ended {
  readonly first: number
  readonly last: number
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
      ended: undefined,
    }
  if (!state) throw new RangeError(`${type} of an endpoint that was never created`)
  switch (type) {
    case 'WebhookEndpointChanged':
      return { ...state, spec: data.spec }
    case 'WebhookEndpointEnabled':
      return { ...state, disabled: undefined, failingSince: undefined }
    case 'WebhookEndpointDisabled': {
      const ended = state.pending.size + state.replays.size > 0 ? endedAt(state, time) : state.ended
      return { ...state, disabled: data.reason, pending: new Map(), replays: new Map(), ended }
    }
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
      return {
        ...state,
        failingSince: data.result === 'delivered' ? undefined : (state.failingSince ?? data.at),
        ended: data.result === 'retrying' ? state.ended : endedAt(state, time),
      }
    }
    case 'WebhookReplayRequested':
      return { ...state, replays: new Map([...state.replays, [data.replayId, data.range]]) }
    case 'WebhookReplayFinished':
      return {
        ...state,
        replays: new Map([...state.replays].filter(([replay]) => replay !== data.replayId)),
        ended: endedAt(state, time),
      }
    case 'WebhookDeliveryDropped':
      return { ...state, ended: endedAt(state, time) }
    case 'WebhookDeliveriesForgotten': {
      const { last = Number.NEGATIVE_INFINITY } = state.ended ?? {}
      return { ...state, ended: last < data.before ? undefined : { first: data.before, last } }
    }
    case 'WebhookEndpointRemoved':
      return undefined
  }
}

const endedAt = ({ ended }: Endpoint, time: number): Ended => ({
  first: Math.min(ended?.first ?? time, time),
  last: Math.max(ended?.last ?? time, time),
})

/** Ids of the secrets that a message is signed with now, newest first. */
export const signingSecrets = ({ secrets }: Pick<Endpoint, 'secrets'>, nowMs: number): readonly string[] =>
  secrets.filter(({ until = Number.POSITIVE_INFINITY }) => until > nowMs).map(({ id }) => id)
