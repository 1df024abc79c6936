export { createLocalKms, type Kms, type MasterKey } from './kms.ts'
export { createPersonalData, type PersonalData } from './personal-data.ts'
export { createSubjectKeys, rewrapSubjectKeys, type SubjectKeys } from './subject-keys.ts'
