export { newSecret, signMessage } from './standard-webhooks.ts'
export { createWebhookSecrets, endpointOwner, isWebhookSecretId, type WebhookSecrets } from './webhook-secrets.ts'
