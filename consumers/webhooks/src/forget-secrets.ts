import type { EventReader, Following, Work } from '@omium/kit'
import type { AcceptedEvent, LogContext } from '@omium/log'
import { type EventEnvelope, parseAggregateKey, type WebhookEndpointEvent } from '@omium/schemas'
import { endpointOwner, type WebhookSecrets } from '@omium/webhook-secrets'

/**
 * Deletes the secrets of endpoints that were removed. It follows the log like any other reader, so whoever dies in between, no
 * secret stays: the removal is seen until the deletion is done. Ids of endpoints are never used again, so deleting twice is no harm.
 */
export const forgetSecrets = (port: ForgetSecretsPort): Following<object, Removal> => ({
  context: port.log,
  name: 'webhook-secrets',
  version: 1,
  begin: () => new RemovalReader(port),
})

export interface ForgetSecretsPort {
  /** the webhook context */
  readonly log: LogContext
  readonly secrets: Pick<WebhookSecrets, 'forget'>
}

interface Removal extends Work {
  readonly tenant: string
  readonly endpointId: string
}

const removed: WebhookEndpointEvent['type'] = 'WebhookEndpointRemoved'

class RemovalReader implements EventReader<object, Removal> {
  readonly #secrets: ForgetSecretsPort['secrets']

  constructor({ secrets }: ForgetSecretsPort) {
    this.#secrets = secrets
  }

  wants({ type }: EventEnvelope): boolean {
    return type === removed
  }

  observe({ envelope: { tenant, aggregate } }: AcceptedEvent): readonly Removal[] {
    const key = parseAggregateKey(aggregate)
    return key?.type === 'webhook_endpoint' ? [{ aggregate, tenant, endpointId: key.id }] : []
  }

  perform({ tenant, endpointId }: Removal): Promise<void> {
    return this.#secrets.forget(tenant, endpointOwner(endpointId))
  }

  /** its place says all */
  memory(): object {
    return {}
  }
}
