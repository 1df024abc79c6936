import { OmiumError } from '@omium/schemas'

/**
 * Step paths: how a call made by user code finds its record again.
 *
 * 1. A path is `name#n` or `name:key#n`; levels are joined by `/`. `n` counts the calls of one name and key in one
 *    scope, from 1, in the order in which user code makes them.
 * 2. `%`, `/` and `#`, and `:` in names, are percent-encoded, so that two different calls never share a path.
 * 3. The order of calls is the same in every attempt (see run.ts), and therefore so are the paths.
 */
const maxPathLength = 1024

const encode = (text: string, reserved: RegExp): string =>
  text.replace(reserved, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`)

/** One level of paths: the run itself, or a helper's own calls such as those of a tool loop. */
export class PathScope {
  private readonly prefix: string
  private readonly occurrences = new Map<string, number>()

  constructor(prefix = '') {
    this.prefix = prefix
  }

  /** Path of the next call of this name and key. @throws OmiumError `invalid_request` when it is too long */
  next(name: string, key?: string | number): string {
    let label = /[%/#:]/.test(name) ? encode(name, /[%/#:]/g) : name
    if (key !== undefined) label += `:${encode(String(key), /[%/#]/g)}`
    const occurrence = (this.occurrences.get(label) ?? 0) + 1
    this.occurrences.set(label, occurrence)
    const path = `${this.prefix}${label}#${occurrence}`
    if (path.length > maxPathLength)
      throw new OmiumError(
        'invalid_request',
        `the path of step "${name}" has ${path.length} characters, ${maxPathLength} are allowed: use a shorter name or key`,
      )
    return path
  }

  /** The scope below a path of this one. */
  below(path: string): PathScope {
    return new PathScope(`${path}/`)
  }
}
