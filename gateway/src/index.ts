export { buildApp } from './app.ts'
export { type Config, readConfig } from './config.ts'
export { startGateway } from './gateway.ts'
export { defaultLimits, type Limits, type Services } from './services.ts'
