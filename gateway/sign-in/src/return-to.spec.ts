import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkReturnTo, defaultReturnTo } from './return-to.ts'

const prefixes = ['/app']

describe('the path to land on', () => {
  it.each(['/app', '/app/', '/app/runs?tab=1#top', '/app/a%2Fb', defaultReturnTo])('may be %s', (path) => {
    expect(checkReturnTo(path, prefixes)).toBe(path)
  })
  it.each([
    ['/app/漢字?q=ü', '/app/%E6%BC%A2%E5%AD%97?q=%C3%BC'],
    ['/app/a/./../b', '/app/b'],
  ])('is what a browser makes of it, and fits into a header: %s', (path, landing) => {
    expect(checkReturnTo(path, prefixes)).toBe(landing)
  })
  it('is our own when nothing is asked for', () => {
    expect(checkReturnTo(undefined, prefixes)).toBe(defaultReturnTo)
    expect(checkReturnTo('', prefixes)).toBe(defaultReturnTo)
  })
  it.each([
    'https://evil.example',
    '//evil.example',
    '///evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/app/../..//evil.example',
    '/app/../v1/executions',
    '/app\\..\\..',
    '/app/%2e%2e/%2e%2e/v1',
    '/app\t//evil.example',
    '/\t/evil.example',
    '/app\r\nset-cookie: a=b',
    '/application',
    '/v1/executions',
    'app',
    'javascript:alert(1)',
    'data:text/html,x',
    ' /app',
    '/app\u0000',
    '/@evil.example',
    `/app/${'a'.repeat(2000)}`,
  ])('is never %j', (path) => {
    expect(() => checkReturnTo(path, prefixes)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })
  it('never leads to another origin', () => {
    const pieces = fc.constantFrom(
      '/',
      '\\',
      'app',
      '..',
      '.',
      '%2f',
      '%5c',
      '@',
      ':',
      '?',
      '#',
      'evil.example',
      '\t',
      ' ',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        let path = `/${parts.join('')}`
        try {
          path = checkReturnTo(path, prefixes)
        } catch {
          return
        }
        const landed = new URL(path, 'https://omium.example')
        expect(path).toBe(`${landed.pathname}${landed.search}${landed.hash}`)
        expect(landed.origin).toBe('https://omium.example')
        expect(landed.pathname === '/app' || landed.pathname.startsWith('/app/')).toBe(true)
      }),
      { seed: 7, numRuns: 2_000 },
    )
  })
})
