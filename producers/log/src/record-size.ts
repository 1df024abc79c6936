import type { RawRecord } from './transport.ts'

/** What a partition's part of one request may hold on topics that `provisionContext` made, in bytes. */
export const maxMessageBytes = 4 * 1024 * 1024

/**
 * The largest append: one part of one request, so that it is contiguous. The rest of `maxMessageBytes` is for what a batch
 * adds. Nothing larger may be begun: the log would refuse it however often it is sent.
 */
export const maxAppendBytes = 3 * 1024 * 1024

/** An upper estimate of what a record takes on the log, in bytes. */
export const bytesOf = (raw: RawRecord): number => {
  let bytes = 64 + (raw.value?.length ?? 0) + (raw.key === null ? 0 : Buffer.byteLength(raw.key))
  for (const name in raw.headers) {
    bytes += 10 + Buffer.byteLength(name) + Buffer.byteLength(raw.headers[name] as string)
  }
  return bytes
}
