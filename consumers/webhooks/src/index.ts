export { webhookMachine } from './machine.ts'
export { Webhooks, type WebhooksOptions } from './webhooks.ts'
