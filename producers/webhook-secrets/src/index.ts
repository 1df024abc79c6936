export { createWebhookSecrets, signMessage, type WebhookSecrets } from './webhook-secrets.ts'
