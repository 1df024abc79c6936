import { expect, test } from 'vitest'
import { OmiumError, readSettings } from './index.ts'

test('settings are parsed, with defaults', () => {
  expect(
    readSettings({ OMIUM_KAFKA_BROKERS: '127.0.0.1:9092, b:1', OMIUM_FSYNC: 'true' }, [
      'OMIUM_KAFKA_BROKERS',
      'OMIUM_FSYNC',
      'OMIUM_PARTITIONS',
    ]),
  ).toEqual({ OMIUM_KAFKA_BROKERS: ['127.0.0.1:9092', 'b:1'], OMIUM_FSYNC: true, OMIUM_PARTITIONS: 12 })
})

test('everything that is wrong is reported at once, without the values', () => {
  const read = () =>
    readSettings({ OMIUM_KAFKA_BROKERS: 'no-port', OMIUM_TOKEN_SECRET: 'hunter2', OMIUM_PARTITIONS: '0' }, [
      'OMIUM_KAFKA_BROKERS',
      'OMIUM_DATABASE_URL',
      'OMIUM_TOKEN_SECRET',
      'OMIUM_PARTITIONS',
    ])
  expect(read).toThrow(OmiumError)
  try {
    read()
  } catch (error) {
    const { message, code } = error as OmiumError
    expect(code).toBe('settings_invalid')
    expect(message).toContain('4 bad setting(s)')
    expect(message).toContain('OMIUM_DATABASE_URL: is required')
    expect(message).not.toContain('hunter2')
  }
})
