import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

/** Row-level security leaves the tables' owner alone (ADR 13), so who connects as the owner is a short list. */
const root = join(import.meta.dirname, '../..')
const parts = ['consumers', 'gateway', 'migrations', 'producers', 'projections', 'sdk/cli', 'sdk/typescript']

it('those who connect as the owner of the tables are known, and none of them answers requests of tenants', () => {
  const found = parts
    .flatMap((part) =>
      globSync(`${part}/**/src/**/*.ts`, { cwd: root, exclude: ['**/node_modules/**', '**/*.spec.ts'] }),
    )
    .filter((file) => /'OMIUM_DATABASE_URL'/.test(readFileSync(join(root, file), 'utf8')))
  expect(found.sort()).toEqual([
    'consumers/identity/src/config.ts',
    'consumers/webhooks/src/config.ts',
    // `omium privacy erase --everywhere`, run by an operator
    'gateway/src/erase-everywhere.ts',
    'migrations/src/main.ts',
    // `omium privacy rotate`, run by an operator
    'producers/personal-data/src/rotate.ts',
    'projections/service/src/main.ts',
    // `omium projections rebuild`, run by an operator
    'sdk/cli/src/commands/projections.ts',
  ])
})
