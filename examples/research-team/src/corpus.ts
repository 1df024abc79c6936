import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** A paragraph of a document; `id` is `<document>#<number of the paragraph, from 1>`. */
export interface Passage {
  readonly id: string
  readonly document: string
  readonly text: string
}

export interface CorpusDocument {
  /** file name without `.md` */
  readonly id: string
  readonly title: string
  readonly passages: readonly Passage[]
}

export interface SearchHit {
  readonly passage: string
  readonly document: string
  readonly title: string
  /** BM25, larger is better, comparable within one search */
  readonly score: number
  readonly text: string
}

export interface Corpus {
  readonly documents: readonly CorpusDocument[]
  document(id: string): CorpusDocument | undefined
  passage(id: string): Passage | undefined
  /** best passages first; equal scores in order of id */
  search(query: string, limit: number): SearchHit[]
}

/** Reads every Markdown file of a folder: the first `#` line is the title, each paragraph a passage. */
export const loadCorpus = (folder: string): Corpus =>
  indexCorpus(
    readdirSync(folder)
      .filter((file) => file.endsWith('.md'))
      .sort()
      .map((file) => parseDocument(basename(file, '.md'), readFileSync(join(folder, file), 'utf8'))),
  )

export const parseDocument = (id: string, markdown: string): CorpusDocument => {
  const blocks = markdown
    .split(/\n\s*\n/)
    .map((block) => block.trim())
    .filter(Boolean)
  const title = /^#\s+(.+)$/.exec(blocks[0] ?? '')?.[1] ?? id
  const passages = blocks
    .filter((block) => !block.startsWith('#'))
    .map((text, index) => ({ id: `${id}#${index + 1}`, document: id, text: text.replace(/\s+/g, ' ') }))
  return { id, title, passages }
}

/** BM25's usual constants (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, section 3.2). */
const k1 = 1.2
const b = 0.75

/** Builds an inverted index over passages; a document's title counts as part of each of its passages. */
export const indexCorpus = (documents: readonly CorpusDocument[]): Corpus => {
  const entries = documents.flatMap((document) =>
    document.passages.map((passage) => ({
      passage,
      title: document.title,
      terms: termsOf(`${document.title} ${passage.text}`),
    })),
  )
  const postings = new Map<string, Map<number, number>>()
  entries.forEach(({ terms }, index) => {
    for (const term of terms) {
      const posting = postings.get(term) ?? new Map<number, number>()
      posting.set(index, (posting.get(index) ?? 0) + 1)
      postings.set(term, posting)
    }
  })
  const meanLength = entries.reduce((sum, entry) => sum + entry.terms.length, 0) / Math.max(1, entries.length)
  const byDocument = new Map(documents.map((document) => [document.id, document]))
  const byPassage = new Map(entries.map(({ passage }) => [passage.id, passage]))

  return {
    documents,
    document: (id) => byDocument.get(id),
    passage: (id) => byPassage.get(id),
    search: (query, limit) => {
      const scores = new Map<number, number>()
      for (const term of new Set(termsOf(query))) {
        const posting = postings.get(term)
        if (!posting) continue
        const idf = Math.log(1 + (entries.length - posting.size + 0.5) / (posting.size + 0.5))
        for (const [index, frequency] of posting) {
          const length = entries[index]?.terms.length ?? meanLength
          const saturated = (frequency * (k1 + 1)) / (frequency + k1 * (1 - b + (b * length) / meanLength))
          scores.set(index, (scores.get(index) ?? 0) + idf * saturated)
        }
      }
      return [...scores]
        .sort((x, y) => y[1] - x[1] || x[0] - y[0])
        .slice(0, limit)
        .flatMap(([index, score]) => {
          const entry = entries[index]
          if (!entry) return []
          const { passage, title } = entry
          const rounded = Math.round(score * 1000) / 1000
          return [{ passage: passage.id, document: passage.document, title, score: rounded, text: passage.text }]
        })
    },
  }
}

/** Lower-case words with the plural and the commonest verb endings cut, so that "leases" finds "lease". */
const termsOf = (text: string): string[] =>
  (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).map((word) =>
    word.length > 4 ? word.replace(/(?:ies)$/, 'y').replace(/(?:ing|ed|es|s|e)$/, '') : word,
  )
