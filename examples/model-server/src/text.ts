/** Small, exact text processing: what the scripted model has instead of weights. */

const stopWords = new Set(
  `a about above after again all also an and any are as at be because been before being between both but by can cannot
  could did do does doing done down each either few for from further get gets had has have having he her here how however
  i if in into is it its itself just keep keeps let like made make makes many may me might more most much must my neither
  no nor not now of off on once one only or other our out over own rather same she should since so some still such than
  that the their them then there these they this those through to together too under until up upon us use used uses using
  very was way we were what when where whether which while who whom why will with within without would you your`.split(
    /\s+/,
  ),
)

export const words = (value: string): string[] => value.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []

/** Cuts the commonest English endings, so that "crashes" meets "crashed". Crude on purpose; see any Porter stemmer for better. */
export const stem = (word: string): string => {
  let root = word
  if (root.length > 4 && root.endsWith('ies')) root = `${root.slice(0, -3)}y`
  else if (root.length > 3 && root.endsWith('s') && !root.endsWith('ss')) root = root.slice(0, -1)
  for (const ending of ['ing', 'ed'])
    if (root.length > ending.length + 3 && root.endsWith(ending)) {
      root = root.slice(0, -ending.length)
      break
    }
  return root.length > 4 && root.endsWith('e') ? root.slice(0, -1) : root
}

/** Words that carry meaning, in order of first occurrence. */
export const contentWords = (value: string): string[] => [
  ...new Set(words(value).filter((word) => word.length > 1 && !stopWords.has(word))),
]

export const contentStems = (value: string): Set<string> => new Set(contentWords(value).map(stem))

/** Sentences of Markdown prose; code fences, headings and list markers are dropped. */
export const sentences = (value: string): string[] =>
  value
    .replace(/```[\s\S]*?```/g, ' ')
    .replace(/^#.*$/gm, ' ')
    .replace(/^\s*[-*]\s+/gm, '')
    .replace(/[`*]|(?<!\w)_|_(?!\w)/g, '')
    .replace(/\s+/g, ' ')
    .split(/(?<=[.!?])\s+(?=[\p{Lu}"'(])/u)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence.length > 0)

/** Share of the content words of `claim` that occur in `source`, 0..1. */
export const coverage = (claim: string, source: string): number => {
  const wanted = contentStems(claim)
  if (wanted.size === 0) return 0
  const present = contentStems(source)
  let found = 0
  for (const word of wanted) if (present.has(word)) found++
  return found / wanted.size
}

/** First letter upper case, no closing mark. */
export const capitalise = (value: string): string => value.charAt(0).toUpperCase() + value.slice(1)

export const parseJson = (value: string): unknown => {
  try {
    return JSON.parse(value)
  } catch {
    return undefined
  }
}

/** The JSON objects that stand in a text, outermost ones only, in their order. */
export const objectsIn = (value: string): unknown[] => {
  const found: unknown[] = []
  let from = value.indexOf('{')
  while (from >= 0) {
    const end = endOfObject(value, from)
    const parsed = end === undefined ? undefined : parseJson(value.slice(from, end))
    if (parsed !== undefined) found.push(parsed)
    from = value.indexOf('{', parsed === undefined ? from + 1 : end)
  }
  return found
}

/** Where the object that begins at `from` is closed; undefined when it never is. */
const endOfObject = (value: string, from: number): number | undefined => {
  let depth = 0
  let quoted = false
  for (let at = from; at < value.length; at++) {
    const sign = value[at]
    if (quoted) {
      if (sign === '\\') at++
      else if (sign === '"') quoted = false
    } else if (sign === '"') quoted = true
    else if (sign === '{') depth++
    else if (sign === '}' && --depth === 0) return at + 1
  }
  return undefined
}

/** The question in a text: its last sentence that ends in a question mark, else all of it. */
export const questionOf = (value: string): string => {
  const asked = value.split(/(?<=[.?!:])\s+|\n/).filter((part) => part.trim().endsWith('?'))
  return asked.at(-1)?.trim() ?? value.trim()
}
