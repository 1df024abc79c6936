/**
 * Wraps keys, small values, under a key that never leaves it. Rotation is its own affair: it unwraps whatever it has wrapped.
 * What is wrapped for one subject is not unwrapped for another.
 */
export interface Kms {
  /** a new key of 32 bytes, in the clear and wrapped. @throws OmiumError `unavailable` */
  generate(subject: string): Promise<{ readonly key: Uint8Array; readonly wrapped: Uint8Array }>
  /** @param bytes at most 4096. @throws OmiumError `unavailable` */
  wrap(bytes: Uint8Array, subject: string): Promise<Uint8Array>
  /**
   * @throws OmiumError `unavailable` (retryable), `settings_invalid` when what wrapped it is not there any more; Error when it
   * was changed, or wrapped for another subject
   */
  unwrap(wrapped: Uint8Array, subject: string): Promise<Uint8Array>
  /** whether it is wrapped under the key that wraps now */
  isCurrent(wrapped: Uint8Array): boolean
  close(): void
}

/** One place that has keys; it tells what it has wrapped from what others have. */
export interface KmsAdapter extends Kms {
  owns(wrapped: Uint8Array): boolean
}

/** Key management that wraps with one and unwraps with all, so that an installation can move from one to another. */
export const withFormer = (current: KmsAdapter, former: readonly KmsAdapter[]): Kms => ({
  generate: (subject) => current.generate(subject),
  wrap: (bytes, subject) => current.wrap(bytes, subject),
  unwrap: (wrapped, subject) =>
    ([current, ...former].find((one) => one.owns(wrapped)) ?? current).unwrap(wrapped, subject),
  isCurrent: (wrapped) => current.owns(wrapped) && current.isCurrent(wrapped),
  close: () => {
    for (const one of [current, ...former]) one.close()
  },
})
