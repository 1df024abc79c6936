import { type CauseLink, type FailureClass, hashJson } from '@omium/schemas'

/**
 * The same text for failures of the same kind: whatever differs from run to run is replaced by a sign for what it is.
 * Ordered: a UUID holds numbers, a URL holds a path.
 */
const replacements: readonly (readonly [RegExp, string])[] = [
  [/[^\w\s]?\[[0-9;]+m/g, ''],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '<id>'],
  [/\b[a-z]{2,12}_[0-9a-f]{16,}\b/gi, '<id>'],
  [/\bhttps?:\/\/[^\s"'`)>\]]+/gi, '<url>'],
  [/\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?/g, '<time>'],
  [/(?:[A-Za-z]:)?(?:[/\\][\w.@~+-]+){2,}(?::\d+){0,2}/g, '<file>'],
  [/\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b/g, '<address>'],
  [/\b[\w.+-]+@[\w-]+\.[\w.]+\b/g, '<mail>'],
  [/"(?:[^"\\]|\\.){0,200}"|'(?:[^'\\]|\\.){0,200}'/g, '<text>'],
  [/\b0x[0-9a-f]+\b/gi, '<number>'],
  [/\b[0-9a-f]{16,}\b/gi, '<id>'],
  [/-?\b\d+(?:[.,]\d+)*(?=\b|[a-z])/gi, '<number>'],
  [/(#|:)[\w.-]*<number>[\w.-]*/g, '$1<number>'],
  [/\s+/g, ' '],
]

const longestText = 400

/** Text without ids, numbers, times, quoted values, places in files. */
export const normalized = (text: string): string => {
  let result = text.slice(0, 4 * longestText)
  for (const [pattern, sign] of replacements) result = result.replace(pattern, sign)
  return result.trim().slice(0, longestText)
}

/** A step's path without keys and occurrences: `plan#2/search:kafka#7` is `plan/search`. */
export const stepShape = (path: string): string =>
  path
    .split('/')
    .map((part) => part.replace(/[#:].*$/, ''))
    .join('/')

/**
 * Groups failures that are likely to have one reason, across runs, attempts and time: 16 hex digits. The run's own id is
 * taken out of the text first, because callers choose it as they like.
 */
export const fingerprintOf = (failureClass: FailureClass, root: CauseLink, agentId: string): string => {
  // where it comes from a failure's own data it may be any text
  const id = root.executionId.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  const text = id ? root.detail.replace(new RegExp(`(?<![\\w.-])${id}(?![\\w-])`, 'g'), '<id>') : root.detail
  return hashJson([
    failureClass,
    root.code,
    root.name ?? '',
    root.agentId ?? agentId,
    root.path === undefined ? '' : stepShape(root.path),
    normalized(text),
  ]).slice(0, 16)
}
