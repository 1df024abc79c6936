export interface DeltaOptions {
  /** redis:// or rediss:// */
  readonly url: string
  readonly topicPrefix: string
  /** the connection broke, told once until it is back; it is made again by itself */
  readonly onError: (error: unknown) => void
}

/** The channel of one execution's deltas. */
export const channelOf = (topicPrefix: string, tenant: string, executionId: string): string =>
  `omium:${topicPrefix}:delta:${tenant}/${executionId}`
