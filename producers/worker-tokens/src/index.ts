export { mintWorkerToken, verifyWorkerToken, type WorkerClaims } from './worker-token.ts'
