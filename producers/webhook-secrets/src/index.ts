export { newSecret, signMessage } from './standard-webhooks.ts'
export {
  createWebhookSecrets,
  endpointOwner,
  isWebhookSecretId,
  type SecretInDoubt,
  triggerOwner,
  type WebhookSecrets,
} from './webhook-secrets.ts'
