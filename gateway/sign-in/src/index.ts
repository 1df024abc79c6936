export { openSignIn, type SignIn, type SignInOptions } from './open.ts'
export type { IdentityCommands } from './ports.ts'
