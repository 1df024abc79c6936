export { callerOf, installGuard } from '@omium/access'
