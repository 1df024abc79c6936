import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A new temporary state folder that other users may pass through (PostgreSQL may run as one). */
export const temporaryHome = (name: string): string => {
  const home = mkdtempSync(join(tmpdir(), `omium-${name}-`))
  chmodSync(home, 0o755)
  return home
}
