import { RE2JS } from 're2js'

/**
 * Regular expressions that strangers bring along, in time that is proportional to the text (RE2: no look-around, no
 * back-references). One that backtracks could keep a process that everyone uses busy for ever.
 */
interface Pattern {
  test(text: string): boolean
  /** Ajv tells patterns apart by it */
  toString(): string
}

const linear = (source: string): Pattern => {
  const pattern = RE2JS.compile(RE2JS.translateRegExp(source))
  return { test: (text) => pattern.matcher(text).find(), toString: () => source }
}

const lenient = (source: string): Pattern => {
  try {
    return linear(source)
  } catch {
    return { test: () => true, toString: () => source }
  }
}

/** What Ajv takes as `code.regExp`; its text is for generated files, which there are none of. */
const engineOf = (compile: (source: string) => Pattern) => Object.assign(compile, { code: 'linearPattern' })

/** A schema whose patterns RE2 does not know cannot be used. */
export const linearPatterns = engineOf(linear)
/** Patterns that RE2 does not know fit everything: for early checks of what is checked again elsewhere. */
export const lenientPatterns = engineOf(lenient)
