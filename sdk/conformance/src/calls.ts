import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const folder = join(import.meta.dirname, '..')
const read = <T>(file: string, schema: z.ZodType<T>): T => schema.parse(parse(readFileSync(join(folder, file), 'utf8')))

const operation = z.string().regex(/^(GET|POST|PUT|PATCH|DELETE) \/v1\/\S+$/)

/** What there is to call, with arguments, and the operation that each call asks for. */
export const readCalls = () =>
  read(
    'calls.yaml',
    z.array(z.strictObject({ call: z.string(), asks: operation, with: z.record(z.string(), z.unknown()).default({}) })),
  )

/** What is typed on the command line, and an operation that it asks for. */
export const readCommands = () => Object.entries(read('cli.yaml', z.record(z.string(), operation)))

/** Operations that clients have no call for, or the command line no command, with the reasons. */
export const readWithout = (what: 'call' | 'command') =>
  read(`without-${what}.yaml`, z.array(z.strictObject({ why: z.string(), operations: z.array(operation) })))

/** The operations of the API, as its OpenAPI document has them: a spec of the gateway holds the file to it. */
export const readOperations = (): string[] => {
  const generated = readFileSync(join(folder, '../typescript/src/client/generated/operations.ts'), 'utf8')
  return [...generated.matchAll(/^ {2}'([A-Z]+ \/v1\/\S+)': \{$/gm)].map(([, name = '']) => name)
}

/** The operation that a request is for; one with fewer parameters goes first. */
export const operationOf = (request: string, operations: readonly string[]): string | undefined =>
  operations
    .filter((name) => new RegExp(`^${name.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(request))
    .sort((a, b) => a.split('{').length - b.split('{').length)[0]
