export { newSecret, signMessage } from './standard-webhooks.ts'
export { createWebhookSecrets, isWebhookSecretId, type WebhookSecrets } from './webhook-secrets.ts'
