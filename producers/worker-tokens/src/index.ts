export {
  isServiceToken,
  mintServiceToken,
  publishedKeys,
  type ServiceAudience,
  type ServiceClaims,
  serviceAudiences,
  serviceTokenMs,
  type VerifiedServiceToken,
  verifyServiceToken,
} from './service-token.ts'
export { mintWorkerToken, verifyWorkerToken, type WorkerClaims } from './worker-token.ts'
