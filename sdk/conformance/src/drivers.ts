import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ensurePython } from '@omium/dev'
import { lineOf } from './lines.ts'

/** A client of the platform in a process of its own; README.md says how it is talked to. */
export interface Driver {
  /** @param options how the client makes it: `timeout` of a try in seconds, `tries` at most */
  call(name: string, given: unknown, options?: { timeout: number; tries?: number }): Promise<Answer>
  close(): Promise<void>
}
export type Answer = { readonly ok: unknown } | { readonly error: { readonly code: string; readonly detail: string } }

const folder = join(import.meta.dirname, '../drivers')

const commands: Readonly<Record<string, () => Promise<readonly [string, ...string[]]>>> = {
  typescript: async () => [process.execPath, join(folder, 'typescript.ts')],
  python: async () => [await interpreter(), join(folder, 'driver.py'), 'sync'],
  'python-async': async () => [await interpreter(), join(folder, 'driver.py'), 'async'],
}
const interpreter = async (): Promise<string> => (await ensurePython({ progress: () => undefined })).python

export const clientNames = Object.keys(commands)

/** @param environment where the platform is, and the key */
export const startDriver = async (client: string, environment: Readonly<Record<string, string>>): Promise<Driver> => {
  const command = commands[client]
  if (!command) throw new RangeError(`there is no driver ${client}`)
  const [program, ...args] = await command()
  const env = { PATH: process.env['PATH'], ...environment }
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async call(name, given, options) {
      child.stdin.write(lineOf({ call: name, with: given, options }))
      const line = await lines.next()
      if (line.done) throw new Error(`the driver ${client} has ended:\n${errors.slice(-4000)}`)
      return JSON.parse(line.value) as Answer
    },
    async close() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
