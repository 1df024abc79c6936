import { writeFileSync } from 'node:fs'
import { clientTypesOf } from '../src/openapi/client-types.ts'
import { clientTypesFile } from './client-types-file.ts'
import { describedApp } from './described-app.ts'

/** Writes the types of the TypeScript client's requests and answers. */
writeFileSync(clientTypesFile, clientTypesOf(await describedApp()))
