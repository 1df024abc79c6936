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
    .replace(/[`*_]/g, '')
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
