export {
  type Capability,
  type CapabilityHost,
  type CapabilityOptions,
  type CapabilitySettings,
  capabilitySettings,
  type RunningCapability,
  runCapability,
  withFollowers,
} from './capability.ts'
export { ContextView, type ContextViewOptions } from './context-view.ts'
export { type EventReader, Follower, type FollowerOptions, type Following, openPast, type Work } from './follower.ts'
export { Followers } from './followers.ts'
export { type Authorship, authorOf, bySystem, HostedPartition, type HostingOptions } from './hosted-partition.ts'
export { type HealthOptions, type HealthServer, openHealthServer } from './http-server.ts'
export { type Lifecycle, runService, type ServiceOptions } from './lifecycle.ts'
export { createLogger, type Logger } from './logger.ts'
export {
  Counter,
  createMetrics,
  exposeCounters,
  exposeGauge,
  Gauge,
  Histogram,
  measureRequests,
  type Registry,
} from './metrics.ts'
export type { Notices } from './notices.ts'
export { noticesTo, type ObjectSettings, objectSettings, openObjects } from './objects.ts'
export { Outbox, type OutboxOptions } from './outbox.ts'
export { keepReading, type Reading, type ReadingOptions, type Source } from './reading.ts'
export { type RetryOptions, retry, sleep } from './retry.ts'
export { readSecret, secretRef } from './secret-refs.ts'
export { orExit, settingsOrExit } from './settings.ts'
export { type Clock, systemClock, TimerQueue } from './timer-queue.ts'
