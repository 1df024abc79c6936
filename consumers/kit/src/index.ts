export { type HealthOptions, type HealthServer, openHealthServer } from './http-server.ts'
export { type Lifecycle, runService, type ServiceOptions } from './lifecycle.ts'
export {
  type LogSettings,
  logSettings,
  noticesTo,
  type ObjectSettings,
  objectSettings,
  openLog,
  openObjects,
} from './log.ts'
export { createLogger, type Logger } from './logger.ts'
export { Counter, createMetrics, exposeCounters, Gauge, Histogram, type Registry } from './metrics.ts'
export { settingsOrExit } from './settings.ts'
export { type Clock, systemClock, TimerQueue } from './timer-queue.ts'
