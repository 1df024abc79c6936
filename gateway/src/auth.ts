export { callerOf, installAuth } from '@omium/api-keys'
