export { createDeltaPublisher, type DeltaPublisher } from './publisher.ts'
export { createDeltaSubscriber, type DeltaSubscriber } from './subscriber.ts'
