import { createHash } from 'node:crypto'
import { z } from 'zod'

export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue }

/**
 * Any JSON value. Checked shallowly on purpose: records arrive through JSON.parse, which can yield nothing else, and a
 * recursive walk over every payload would dominate the cost of decoding.
 */
export const jsonValue = z.custom<JsonValue>((value) => value !== undefined && typeof value !== 'function', {
  message: 'expected a JSON value',
})

/** JSON with sorted object keys, so that equal values have equal text (in the spirit of RFC 8785). */
export const canonicalJson = (value: unknown): string => {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const object = value as Record<string, unknown>
  const members: string[] = []
  for (const key of Object.keys(object).sort()) {
    if (object[key] !== undefined) members.push(`${JSON.stringify(key)}:${canonicalJson(object[key])}`)
  }
  return `{${members.join(',')}}`
}

/** SHA-256 of the canonical JSON, 64 hex digits. */
export const hashJson = (value: unknown): string => createHash('sha256').update(canonicalJson(value)).digest('hex')

/** The first 16 hex digits of {@link hashJson}: identity of a request within one execution, not a security boundary. */
export const requestHashOf = (value: unknown): string => hashJson(value).slice(0, 16)

/** Values up to this many bytes of JSON travel inside the record; larger ones go to object storage by reference. */
export const inlineLimitBytes = 64 * 1024

/** A value on the log: inline, or a claim check into object storage with the checksum that every read verifies. */
export const payload = z.union([
  z.object({ inline: jsonValue }),
  z.object({
    ref: z.object({
      key: z.string().min(1).max(1024),
      bytes: z.number().int().nonnegative(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  }),
])
export type Payload = z.infer<typeof payload>
