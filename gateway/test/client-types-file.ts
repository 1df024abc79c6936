import { join } from 'node:path'

export const clientTypesFile = join(import.meta.dirname, '../../sdk/typescript/src/client/generated/operations.ts')
