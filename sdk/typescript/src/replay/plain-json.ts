import { type JsonValue, OmiumError } from '@omium/schemas'

/** deeper values overflow the stack of whoever walks them; the gateway refuses them too */
const deepest = 500

const isLossy = (value: object): boolean =>
  value instanceof Map ||
  value instanceof Set ||
  value instanceof WeakMap ||
  value instanceof WeakSet ||
  value instanceof Promise ||
  value instanceof RegExp ||
  value instanceof Error ||
  value instanceof ArrayBuffer ||
  ArrayBuffer.isView(value)

const describe = (value: unknown): string => {
  if (typeof value === 'number' || typeof value === 'bigint') return `${value}${typeof value === 'bigint' ? 'n' : ''}`
  if (typeof value === 'object' && value !== null) return `a ${value.constructor?.name || 'value'}`
  return `a ${typeof value}`
}

const member = (path: string, key: string): string =>
  /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`

/**
 * A copy of a value that survives a JSON round trip unchanged, so that user code sees the same value live and on replay.
 * `undefined` becomes null (members that are undefined vanish), objects with `toJSON` (dates) become what it returns.
 * @param what names the value in the error: `the output of step "plan"`
 * @throws OmiumError `output_invalid` naming the place in the value: functions, symbols, bigints, NaN and infinities,
 *   cycles, more than 500 levels, and objects that JSON would silently empty (Map, Set, Error, RegExp, buffers, promises)
 */
export const toPlainJson = (value: unknown, what: string): JsonValue => {
  const ancestors: object[] = []
  const refuse = (path: string, found: string): never => {
    const place = path === '$' ? 'it is' : `at ${path} there is`
    throw new OmiumError(
      'output_invalid',
      `${what} cannot be recorded: ${place} ${found}, which JSON cannot hold; return plain data instead`,
    )
  }
  const visit = (current: unknown, path: string): JsonValue => {
    switch (typeof current) {
      case 'string':
      case 'boolean':
        return current
      case 'undefined':
        return null
      case 'number':
        return Number.isFinite(current) ? (Object.is(current, -0) ? 0 : current) : refuse(path, describe(current))
      case 'object':
        break
      default:
        return refuse(path, describe(current))
    }
    if (current === null) return null
    if (typeof (current as { toJSON?: unknown }).toJSON === 'function' && !ArrayBuffer.isView(current))
      return visit((current as { toJSON(key: string): unknown }).toJSON(''), path)
    if (isLossy(current)) return refuse(path, describe(current))
    if (ancestors.includes(current)) return refuse(path, 'a reference to an object that contains it')
    if (ancestors.length >= deepest)
      throw new OmiumError('output_invalid', `${what} cannot be recorded: it is nested deeper than ${deepest} levels`)
    ancestors.push(current)
    let copy: JsonValue
    if (Array.isArray(current)) {
      copy = new Array<JsonValue>(current.length)
      for (let i = 0; i < current.length; i++) copy[i] = visit(current[i], `${path}[${i}]`)
    } else {
      copy = {}
      for (const key of Object.keys(current)) {
        const inner = (current as Record<string, unknown>)[key]
        if (inner === undefined) continue
        const plain = visitMember(inner, path, key)
        if (key === '__proto__')
          Object.defineProperty(copy, key, { value: plain, enumerable: true, writable: true, configurable: true })
        else copy[key] = plain
      }
    }
    ancestors.pop()
    return copy
  }
  // leaves are by far the most common members: they need no path text
  const visitMember = (inner: unknown, path: string, key: string): JsonValue =>
    typeof inner === 'string' || typeof inner === 'boolean' ? inner : visit(inner, member(path, key))
  return visit(value, '$')
}
