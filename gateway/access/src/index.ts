export { type ApiKeys, type Caller, createApiKeys, type Scope } from './api-keys.ts'
export { callerOf, installAuth } from './auth.ts'
