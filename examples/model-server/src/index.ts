export { type CallLog, type CallLogEntry, openCallLog, readCallLog } from './call-log.ts'
export { type ModelServer, type ModelServerOptions, modelName, startModelServer, systemFingerprint } from './server.ts'
