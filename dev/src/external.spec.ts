import { describe, expect, it } from 'vitest'
import { externalServices } from './external.ts'

describe('external services', () => {
  it('are none in an empty environment, or one of empty values', () => {
    expect(externalServices({})).toEqual({})
    expect(externalServices({ OMIUM_KAFKA_BROKERS: '', OMIUM_S3_ENDPOINT: '' })).toEqual({})
  })

  it('are those that the environment names', () => {
    expect(externalServices({ OMIUM_KAFKA_BROKERS: 'a:1,b:2', OMIUM_DATABASE_URL: 'postgres://u:p@h/d' })).toEqual({
      kafkaBrokers: ['a:1', 'b:2'],
      databaseUrl: 'postgres://u:p@h/d',
    })
  })

  it('are all checked before any is used', () => {
    expect(() => externalServices({ OMIUM_KAFKA_BROKERS: 'nonsense', OMIUM_REDIS_URL: 'http://x' })).toThrow(
      /OMIUM_KAFKA_BROKERS[\s\S]*OMIUM_REDIS_URL/,
    )
  })

  it('need keys for S3', () => {
    expect(() => externalServices({ OMIUM_S3_ENDPOINT: 'http://s3' })).toThrow(/OMIUM_S3_ACCESS_KEY_ID/)
  })
})
