export { buildApp } from './app.ts'
export { defaultLimits, type Limits, type Services } from './services.ts'
