import { readFileSync, writeFileSync } from 'node:fs'
import { completed, missingFrom } from './lockfile.ts'

/** `npm run lockfile:complete`: after `npm install` has changed package-lock.json, makes it one that `npm ci` takes. */
const file = new URL('../../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8'))
const added = Object.keys(missingFrom(lock))
if (added.length > 0) writeFileSync(file, `${JSON.stringify(completed(lock), null, 2)}\n`)
process.stdout.write(`${added.length} packages added\n`)
