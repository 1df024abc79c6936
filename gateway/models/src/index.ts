export { type ModelGatewayConfig, readConfig } from './config.ts'
export { startModelGateway } from './gateway.ts'
export { settingsFromEnvironment } from './registry/defaults.ts'
export { type ModelSettings, parseModelSettings, readModelSettings } from './registry/settings.ts'
