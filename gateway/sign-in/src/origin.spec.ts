import { describe, expect, it } from 'vitest'
import { requireSameOrigin } from './origin.ts'

const own = 'https://omium.example'

describe('a change that is asked for with a cookie', () => {
  it.each([
    { 'sec-fetch-site': 'same-origin', origin: own },
    { 'sec-fetch-site': 'same-origin', origin: 'null' },
    { origin: own },
  ])('is taken from our own pages: %j', (headers) => {
    expect(() => requireSameOrigin(headers, own)).not.toThrow()
  })
  it.each([
    {},
    { origin: 'null' },
    { origin: 'https://evil.example' },
    { origin: 'http://omium.example' },
    { origin: 'https://omium.example:8443' },
    { origin: 'https://omium.example.evil.example' },
    { 'sec-fetch-site': 'cross-site', origin: own },
    { 'sec-fetch-site': 'same-site', origin: 'https://sibling.omium.example' },
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': '' },
  ])('is refused from anywhere else: %j', (headers) => {
    expect(() => requireSameOrigin(headers, own)).toThrow(expect.objectContaining({ code: 'origin_refused' }))
  })
})
