import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** Where finished reports go: `<OMIUM_HOME or .omium>/reports`. */
export const reportsFolder = (): string => join(resolve(process.env['OMIUM_HOME'] ?? '.omium'), 'reports')

/** The idempotency key is the file name, so that publishing twice is publishing once. */
export const reportFile = (idempotencyKey: string): string =>
  join(reportsFolder(), `${idempotencyKey.replace(/[^A-Za-z0-9._-]+/g, '-')}.md`)

/** Writes the report under its key, all or nothing; a report that is there already stays as it is. */
export const publishReport = (idempotencyKey: string, markdown: string): string => {
  const file = reportFile(idempotencyKey)
  if (existsSync(file)) return file
  mkdirSync(reportsFolder(), { recursive: true })
  const draft = `${file}.${process.pid}.tmp`
  writeFileSync(draft, markdown)
  renameSync(draft, file)
  return file
}
