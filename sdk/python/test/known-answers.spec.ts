import { readFileSync } from 'node:fs'
import { canonicalJson, errorCatalogue, hashJson, type JsonValue, requestHashOf } from '@omium/schemas'
import { agent } from '@omium/sdk'
import { testRun } from '@omium/sdk/testing'
import { expect, it } from 'vitest'
import { z } from 'zod'

interface KnownAnswers {
  json: { text: string; canonical: string; hash: string; requestHash: string }[]
  paths: { name: string; key?: string | number; path: string }[]
  requests: { what: string; kind: string; hash: string }[]
  errors: Record<string, { status: number; retryable: boolean }>
}
const known = JSON.parse(readFileSync(new URL('../tests/known_answers.json', import.meta.url), 'utf8')) as KnownAnswers

it.each(known.json)('hashes $text as the Python SDK does', ({ text, canonical, hash, requestHash }) => {
  const value = JSON.parse(text) as JsonValue
  expect([canonicalJson(value), hashJson(value), requestHashOf(value)]).toEqual([canonical, hash, requestHash])
})

it('knows the errors that the Python SDK knows', () => {
  const ours = Object.entries(errorCatalogue).map(([code, { status, retryable }]) => [code, { status, retryable }])
  expect(Object.fromEntries(ours)).toEqual(known.errors)
})

it('gives steps the paths that the Python SDK gives them', async () => {
  const paths = agent({
    id: 'paths',
    input: z.null(),
    async run(_, ctx) {
      for (const { name, key } of known.paths) await ctx.step(name, () => 1, key === undefined ? {} : { key })
    },
  })
  const run = await testRun(paths, null)
  expect(run.journal.map(({ path }) => path)).toEqual(known.paths.map(({ path }) => path))
})

it('gives requests the hashes that the Python SDK gives them', async () => {
  const asks = agent({
    id: 'asks',
    input: z.null(),
    async run(_, ctx) {
      await ctx.step('bare', () => 1)
      await ctx.step('null', () => 1, { input: null })
      await ctx.now()
      await ctx.sleep('3d')
      await ctx.waitFor('go')
      await ctx.approve('Ship?', { timeoutMs: 5000 })
      await ctx.call('c', { t: 1 })
    },
  })
  const run = await testRun(asks, null, { signals: { go: 1 }, mocks: { c: 1 } })
  expect(run.journal.map(({ requestHash }) => requestHash)).toEqual(known.requests.map(({ hash }) => hash))
})
