import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const step = z.union([
  z.strictObject({
    call: z.string(),
    with: z.record(z.string(), z.unknown()).optional(),
    /** the name of its answer from here on */
    as: z.string().optional(),
    /** it is repeated until it fits */
    eventually: z.literal(true).optional(),
    expect: z.unknown().optional(),
    /** the network mistreats it, and it has one effect all the same: what the clients hear is what the lost answer said */
    once: z.literal(true).optional(),
    /** the code that it is refused with */
    error: z.string().optional(),
  }),
  z.strictObject({
    network: z.strictObject({
      lose: z.string().optional(),
      cut: z.string().optional(),
      refuse: z.string().optional(),
      status: z.int().optional(),
      times: z.int(),
    }),
  }),
  z.strictObject({
    /** of what passed the network since it was last told anything */
    sent: z.strictObject({
      request: z.string(),
      times: z.int(),
      idempotencyKeys: z.int().optional(),
      /** where streams were resumed */
      resumedAfter: z.array(z.string().nullable()).optional(),
    }),
  }),
])
export type Step = z.infer<typeof step>

const scenarios = z.array(z.strictObject({ name: z.string(), steps: z.array(step).min(1) }))
export interface Scenario {
  readonly name: string
  readonly steps: readonly Step[]
}

/** The scenarios of a file, or of all files of a folder, named `<file>: <what a client does>`. @throws what is wrong with a file */
export const readScenarios = (path: string): Scenario[] => {
  const files = path.endsWith('.yaml') ? [path] : readdirSync(path).map((file) => join(path, file))
  return files
    .sort()
    .flatMap((file) =>
      scenarios
        .parse(parse(readFileSync(file, 'utf8')))
        .map(({ name, steps }) => ({ name: `${basename(file, '.yaml')}: ${name}`, steps })),
    )
}

/** `{{run.id}}` alone is the value itself; within a text it is put in. @throws RangeError for a name that nothing has */
export const filled = (value: unknown, known: Readonly<Record<string, unknown>>): unknown => {
  if (Array.isArray(value)) return value.map((item) => filled(item, known))
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filled(item, known)]))
  if (typeof value !== 'string') return value
  const look = (path: string): unknown => {
    const found = path
      .split('.')
      .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], known)
    if (found === undefined) throw new RangeError(`nothing is called {{${path}}}`)
    return found
  }
  const whole = /^\{\{([\w.]+)\}\}$/.exec(value)?.[1]
  return whole === undefined
    ? value.replaceAll(/\{\{([\w.]+)\}\}/g, (_, path: string) => String(look(path)))
    : look(whole)
}
