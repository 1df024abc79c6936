import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { loadCorpus } from './corpus.ts'

const corpus = loadCorpus(fileURLToPath(new URL('../corpus', import.meta.url)))

describe('the shipped corpus', () => {
  it('has at least 25 documents of 300 to 600 words, each with a title', () => {
    expect(corpus.documents.length).toBeGreaterThanOrEqual(25)
    for (const document of corpus.documents) {
      const words = document.passages.flatMap((passage) => passage.text.split(' ')).length
      expect(words, document.id).toBeGreaterThanOrEqual(300)
      expect(words, document.id).toBeLessThanOrEqual(600)
      expect(document.title).not.toBe(document.id)
    }
  })

  it.each([
    ['how does a paused holder of a lock get rejected', 'fencing-tokens'],
    ['merging sorted files and tombstones', 'lsm-trees'],
    ['compensating actions undo earlier steps', 'sagas'],
    ['Lamport counters and vector clocks', 'clocks'],
    ['key stored with the outcome so that a retry returns it', 'idempotency'],
  ])('finds for "%s" the document %s', (query, document) => {
    expect(corpus.search(query, 3).map((hit) => hit.document)).toContain(document)
  })

  it('finds nothing for words that no document has, and opens what it found', () => {
    expect(corpus.search('xylophone zeppelin', 5)).toEqual([])
    const [hit] = corpus.search('lease expires', 1)
    expect(corpus.passage(hit!.passage)?.text).toBe(hit!.text)
    expect(corpus.document(hit!.document)?.title).toBe(hit!.title)
  })
})
