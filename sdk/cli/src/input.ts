import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type JsonValue, OmiumError } from '@omium/schemas'
import { UsageError } from './exit-codes.ts'
import type { Io } from './io.ts'

/** A JSON argument: JSON itself, `@file`, or `-` for standard input. @throws OmiumError `invalid_json` */
export const readJsonArgument = async (io: Io, text: string): Promise<JsonValue> => {
  const source = text === '-' ? 'standard input' : text.startsWith('@') ? text.slice(1) : 'the argument'
  const json = await readTextArgument(io, text)
  try {
    return JSON.parse(json) as JsonValue
  } catch (cause) {
    throw new OmiumError('invalid_json', `${source} is not valid JSON: ${(cause as Error).message}`, { cause })
  }
}

/** A text: itself, `@file`, or `-` for standard input. */
export const readTextArgument = async (io: Io, text: string): Promise<string> => {
  if (text === '-') return io.readStdin()
  return text.startsWith('@') ? readFile(resolve(io.cwd, text.slice(1))) : text
}

/** The lines of a file, or of standard input for `-`, without empty ones. */
export const readLines = async (io: Io, source: string): Promise<string[]> => {
  const text = source === '-' ? await io.readStdin() : readFile(resolve(io.cwd, source))
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

const readFile = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new UsageError(`${path} cannot be read: ${(cause as NodeJS.ErrnoException).code}`)
  }
}

/** A whole number within bounds, for options. */
export const wholeNumber =
  (name: string, least: number, most: number) =>
  (text: string): number => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < least || value > most)
      throw new UsageError(`${name} is a whole number from ${least} to ${most}, not ${text}`)
    return value
  }
