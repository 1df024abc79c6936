import { fileURLToPath } from 'node:url'
import { canonicalJson } from '@omium/schemas'
import { tool } from '@omium/sdk'
import { z } from 'zod'
import { loadCorpus } from './corpus.ts'
import { recordWork } from './work-log.ts'

const corpus = loadCorpus(fileURLToPath(new URL('../corpus', import.meta.url)))

/** The researcher's tools. `executionId` is the run that they work for; it goes into the log of work done. */
export const libraryTools = (executionId: string) => [
  tool({
    name: 'search_documents',
    description: 'Finds the passages of the library that fit a query best (BM25). Use a few telling words.',
    schema: z.object({ query: z.string().min(1), limit: z.number().int().min(1).max(20).optional() }),
    execute: ({ query, limit }) => {
      recordWork({ tool: 'search_documents', executionId, request: canonicalJson({ query, limit }) })
      return corpus.search(query, limit ?? 6)
    },
  }),
  tool({
    name: 'read_document',
    description: 'Gives the title and all passages of a document.',
    schema: z.object({ document: z.string().describe('a document id as search_documents gives it') }),
    execute: ({ document }) => {
      recordWork({ tool: 'read_document', executionId, request: canonicalJson({ document }) })
      const found = corpus.document(document)
      return {
        document,
        title: found?.title ?? 'there is no such document',
        passages: (found?.passages ?? []).map(({ id, text }) => ({ passage: id, text })),
      }
    },
  }),
]

/** The critic's tool. */
export const passageTools = (executionId: string) => [
  tool({
    name: 'read_passage',
    description: 'Gives the text of a passage, or says that there is no such passage.',
    schema: z.object({ passage: z.string().describe('<document>#<number>') }),
    execute: ({ passage }) => {
      recordWork({ tool: 'read_passage', executionId, request: canonicalJson({ passage }) })
      const found = corpus.passage(passage)
      return { passage, found: found !== undefined, text: found?.text ?? '' }
    },
  }),
]
