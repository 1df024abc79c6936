import type { TestProject } from 'vitest/node'
import { type IsolatedStack, startIsolatedStack } from './isolated-stack.ts'

/** The projects of one run share one stack; each loads its own copy of this module, so the count lives on the global object. */
interface Shared {
  users: number
  stack: Promise<IsolatedStack>
}
const key = Symbol.for('omium.test-stack')
const shared = globalThis as { [key]?: Shared | undefined }

/** Starts the isolated stack for the run (once), hands its endpoints to the specs, and ends it after the last project. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  shared[key] ??= { users: 0, stack: startIsolatedStack({ progress: (line) => console.log(`  ${line}`) }) }
  const mine = shared[key]
  mine.users++
  const stack = await mine.stack
  project.provide('omiumStack', stack.endpoints)
  return async () => {
    mine.users--
    if (mine.users > 0) return
    shared[key] = undefined
    await stack.stop()
  }
}
