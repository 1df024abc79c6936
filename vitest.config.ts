import { defineConfig } from 'vitest/config'

const common = { root: '.', environment: 'node' as const, exclude: ['**/node_modules/**', '**/dist/**', '.omium/**'] }

/** Three kinds of specs; the suffix tells the cost. `int` and `e2e` run against the real, isolated stack. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['**/*.spec.ts'],
          exclude: [...common.exclude, '**/*.{int,e2e}.spec.ts'],
          // a few ms each, and still right when the machine is busy
          testTimeout: 20_000,
          // one module graph for each worker, not for each file: specs of this kind leave nothing behind
          isolate: false,
          setupFiles: ['dev/src/testing/seeded.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: 'int',
          include: ['**/*.int.spec.ts'],
          globalSetup: ['dev/src/testing/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          // they wait for services half of the time
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: 'e2e',
          include: ['**/*.e2e.spec.ts'],
          globalSetup: ['dev/src/testing/global-setup.ts', 'dev/src/testing/shared-platform.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
