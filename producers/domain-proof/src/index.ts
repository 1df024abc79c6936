export { createDomainProof, type DomainProof } from './domain-proof.ts'
