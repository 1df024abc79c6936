import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { errorCatalogue, errorCodes, OmiumError } from './errors.ts'

const docs = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
/** code -> the line with its title, and the paragraph after it */
const documented = new Map(
  [...docs.matchAll(/^### (\w+)\n\n(.+)\n\n(.+)$/gm)].map(([, code, title, paragraph]) => [code, { title, paragraph }]),
)

describe('docs/errors.md', () => {
  it('has every code of the catalogue once, in its order, and no other', () => {
    expect([...docs.matchAll(/^### (.+)$/gm)].map(([, code]) => code)).toEqual(errorCodes)
  })
  it.each(errorCodes)('says of %s what it is, whether it may be repeated, and what to do', (code) => {
    const { status, retryable, title } = errorCatalogue[code]
    expect(documented.get(code)?.title).toBe(`${title}. HTTP ${status}, ${retryable ? 'retryable' : 'not retryable'}.`)
    expect(documented.get(code)?.paragraph?.length).toBeGreaterThan(40)
  })
})

describe('docs/bad-input.md', () => {
  const root = new URL('../../', import.meta.url)
  const table = readFileSync(new URL('docs/bad-input.md', root), 'utf8')
  const rows = [...table.matchAll(/^\| (.+?) \| (.+?) \| `(.+?)`: (.+) \|$/gm)].map(
    ([, what = '', outcome = '', file = '', spec = '']) => ({ what, outcome, file, spec }),
  )
  it('has its cases', () => {
    expect(rows.length).toBe((table.match(/^\| /gm)?.length ?? 0) - 2)
    expect(rows.length).toBeGreaterThan(30)
  })
  it.each(rows)('says of "$what" what codes and specs say', ({ outcome, file, spec }) => {
    expect(readFileSync(new URL(file, root), 'utf8')).toContain(spec)
    for (const [, code = ''] of outcome.matchAll(/`([a-z_]+)`/g)) expect(errorCodes).toContain(code)
  })
})

describe('an error', () => {
  it('survives the way over the log and the wire', () => {
    const error = new OmiumError('step_failed', 'search failed', { cause: new TypeError('no'), data: { path: 'a#1' } })
    const back = OmiumError.fromFailure(JSON.parse(JSON.stringify(error.toFailure())))
    expect(back.toFailure()).toEqual(error.toFailure())
    expect(back).toMatchObject({ code: 'step_failed', status: 500, retryable: true })
  })
})
