import { OmiumError } from '@omium/schemas'
import { DatabaseError, Pool, type PoolConfig, types } from 'pg'

const int8 = 20
const numeric = 1700

/** Offsets and counters are safe integers: they arrive as numbers, and a value that is none is an error, not a rounding. */
const parseInteger = (text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} is not a safe integer`)
  return value
}

const customTypes = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === int8 && format !== 'binary'
      ? parseInteger
      : oid === numeric && format !== 'binary'
        ? String
        : types.getTypeParser(oid, format as 'text')) as typeof types.getTypeParser,
}

/**
 * Pool whose bigint columns are numbers. Idle connections that break are dropped and reported to `onIdleError`; the next
 * query opens a new one.
 */
export const createPool = (
  databaseUrl: string,
  options: PoolConfig & { onIdleError?: (error: Error) => void } = {},
): Pool => {
  const { onIdleError, ...config } = options
  const pool = new Pool({
    connectionString: databaseUrl,
    max: 10,
    connectionTimeoutMillis: 10_000,
    ...config,
    types: customTypes,
  })
  pool.on('error', (error) => onIdleError?.(error))
  // a connection in use that breaks fails its query; without a listener the same error would end the process
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}

/** Whether the data of a statement was at fault, so that sending it again cannot succeed. SQLSTATE classes 22, 23, 54. */
export const isDataError = (error: unknown): boolean =>
  error instanceof DatabaseError && /^(22|23|54)/.test(error.code ?? '')

/** A database that cannot be reached, as an error of the closed list; other errors pass through. */
export const asUnavailable = (error: unknown): unknown => {
  if (error instanceof OmiumError) return error
  const { code, message } = error as { code?: string; message?: string }
  const unreachable =
    (error instanceof DatabaseError && /^(08|53|57P|57014)/.test(code ?? '')) ||
    /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)/.test(code ?? '') ||
    /Connection terminated|timeout exceeded when trying to connect|Query read timeout|database does not answer|Client has encountered/.test(
      message ?? '',
    )
  return unreachable
    ? new OmiumError('unavailable', 'the database cannot be reached; try again shortly', { cause: error })
    : error
}
