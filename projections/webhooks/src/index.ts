export { webhooksProjection } from './definition.ts'
export {
  type AttemptRecord,
  type DeliveryFilter,
  type DeliveryRecord,
  deliveryAttempts,
  type EndpointRecord,
  getDelivery,
  getEndpoint,
  listDeliveries,
  listEndpoints,
  listReplays,
  type ReplayRecord,
} from './queries.ts'
