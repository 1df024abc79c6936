/**
 * Objects by key, as an S3 bucket keeps them. Every adapter passes the contract suite of `@omium/payloads/testing`.
 *
 * Errors are OmiumErrors: `object_missing` when there is no such object, `unavailable` when the store cannot be asked.
 */
export interface ObjectStore {
  /** replaces what is there; when it resolves the object is durable */
  put(key: string, body: Buffer): Promise<void>
  get(key: string): Promise<Buffer>
  /** every key with this prefix, in ascending order of UTF-8 bytes */
  list(prefix: string): Promise<readonly string[]>
  /**
   * The same, in pages of at most `size` keys (1000 when absent), each fetched when it is asked for. A key that is put or
   * removed meanwhile may be there or not; every other one comes once.
   */
  pages(prefix: string, size?: number): AsyncIterable<readonly string[]>
  /** removing what is not there is no error */
  remove(key: string): Promise<void>
  close(): Promise<void>
}
