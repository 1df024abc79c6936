import type { Clock, EventReader, Following, Work } from '@omium/kit'
import { type AcceptedEvent, type LogContext, partitionFor } from '@omium/log'
import {
  aggregateKey,
  type EventEnvelope,
  eventsTopic,
  parseAggregateKey,
  type TriggerEvent,
  type WebhookEndpointEvent,
} from '@omium/schemas'
import type { SecretInDoubt, WebhookSecrets } from '@omium/webhook-secrets'

/**
 * Keeps the secrets of webhooks, those of triggers and those of endpoints, for as long as events have them in force. It follows the
 * log like any other reader, so whoever dies in between, no secret stays.
 *
 * 1. A secret that an event names is in force; with another one of its trigger, or with the end of its owner, it goes.
 * 2. One that no event names within {@link abandonedAfterMs} never will be: by then the log keeps no command that could. It goes when
 *    everything is read that the log has by then.
 */
export const followSecrets = (port: FollowSecretsPort): Following<object, SecretWork> => ({
  context: port.log,
  name: 'webhook-secrets',
  version: 2,
  sweepMs: port.sweepMs ?? 3_600_000,
  begin: (_memory, { partition }) => new SecretReader(port, partition),
})

/** commands are kept for seven days */
const abandonedAfterMs = 8 * 86_400_000

interface FollowSecretsPort {
  /** the webhook or the workflow context */
  readonly log: LogContext
  readonly secrets: Pick<WebhookSecrets, 'confirm' | 'forget' | 'inDoubt' | 'discard'>
  readonly clock: Pick<Clock, 'nowMs'>
  /** how often those are looked for that no event names; an hour when absent */
  readonly sweepMs?: number
}

type OwnerEvent = TriggerEvent | WebhookEndpointEvent

interface Change extends Work {
  readonly tenant: string
  readonly owner: string
  readonly offset: number
  /** what is in force from now on; absent: nothing new */
  readonly id?: string
  /** whether what was in force before is so no more */
  readonly only: boolean
}

interface Abandoned extends Work {
  readonly abandoned: SecretInDoubt
}

type SecretWork = Change | Abandoned

const changing: ReadonlySet<string> = new Set<OwnerEvent['type']>([
  'TriggerPut',
  'TriggerDeleted',
  'WebhookEndpointCreated',
  'WebhookSecretRotated',
  'WebhookEndpointRemoved',
])

class SecretReader implements EventReader<object, SecretWork> {
  readonly #port: FollowSecretsPort
  readonly #partition: number

  constructor(port: FollowSecretsPort, partition: number) {
    this.#port = port
    this.#partition = partition
  }

  wants({ type }: EventEnvelope): boolean {
    return changing.has(type)
  }

  observe({ envelope: { tenant, aggregate }, type, data, offset }: AcceptedEvent): readonly Change[] {
    const key = parseAggregateKey(aggregate)
    if (!key) return []
    return [{ aggregate, tenant, owner: `${key.type}/${key.id}`, offset, ...changeOf({ type, data } as OwnerEvent) }]
  }

  async sweep(isCurrent: () => Promise<boolean>): Promise<readonly Abandoned[]> {
    const { log, secrets, clock } = this.#port
    const found = await secrets.inDoubt(clock.nowMs() - abandonedAfterMs)
    if (found.length === 0 || !(await isCurrent())) return []
    const { transport, topicPrefix, definition } = log
    const partitions = await transport.partitionCount(eventsTopic(topicPrefix, definition.name))
    return found.flatMap((abandoned) => {
      const [type, id = ''] = abandoned.owner.split('/')
      const ownerType = definition.name === 'workflow' ? 'trigger' : 'webhook_endpoint'
      const aggregate = aggregateKey(ownerType, abandoned.tenant, id)
      const isOwn = type === ownerType && partitionFor(aggregate, partitions) === this.#partition
      return isOwn ? [{ aggregate, abandoned }] : []
    })
  }

  async perform(work: SecretWork): Promise<void> {
    const { secrets } = this.#port
    if ('abandoned' in work) return secrets.discard(work.abandoned)
    const { tenant, owner, offset, id, only } = work
    if (id !== undefined) await secrets.confirm(tenant, owner, id, offset)
    if (only) await secrets.forget(tenant, owner, offset)
  }

  /** its place says all */
  memory(): object {
    return {}
  }
}

const changeOf = (event: OwnerEvent): Pick<Change, 'id' | 'only'> => {
  switch (event.type) {
    case 'TriggerPut': {
      const { source } = event.data.spec
      return { ...(source.type === 'webhook' && { id: source.sealedSecret }), only: true }
    }
    case 'WebhookEndpointCreated':
    // those before it sign on for a while
    case 'WebhookSecretRotated':
      return { id: event.data.secretId, only: false }
    default:
      return { only: true }
  }
}
