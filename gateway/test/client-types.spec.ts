import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { clientTypesOf } from '../src/openapi/client-types.ts'
import type { Document } from '../src/openapi/document.ts'
import { clientTypesFile } from './client-types-file.ts'
import { describedApp } from './described-app.ts'

it('the types of the TypeScript client are those of the API; if not: npm run api:accept', async () => {
  expect(readFileSync(clientTypesFile, 'utf8')).toBe(clientTypesOf(await describedApp()))
}, 60_000)

it('says what is optional, what is one of several, and what nobody knows', () => {
  const string = { type: 'string' }
  const document = {
    paths: {
      '/v1/things/{id}': {
        put: {
          parameters: [
            { in: 'path', name: 'id', required: true, schema: string },
            { in: 'query', name: 'min-size', schema: { type: 'integer' } },
          ],
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: {
                  type: 'object',
                  properties: {
                    a: { enum: ['x', 'y'] },
                    b: { type: 'array', items: { anyOf: [string, { type: 'null' }] } },
                    c: {},
                  },
                  required: ['a'],
                },
              },
            },
          },
          responses: {
            '200': {
              content: {
                'application/json': {
                  schema: {
                    type: 'object',
                    properties: { n: { type: ['number', 'null'] } },
                    additionalProperties: false,
                  },
                },
              },
            },
            '204': {},
            '404': { content: { 'application/problem+json': { schema: string } } },
          },
        },
      },
      '/health': { get: { responses: {} } },
    },
  } as unknown as Document
  expect(clientTypesOf(document).split('\n').slice(5, -2)).toEqual([
    "  'PUT /v1/things/{id}': {",
    '    path: { id: string }',
    "    query: { 'min-size'?: number | undefined }",
    "    body: { a: 'x' | 'y'; b?: readonly (string | null)[] | undefined; c?: unknown | undefined }",
    '    answer: { n?: number | null } | null',
    '  }',
  ])
})
