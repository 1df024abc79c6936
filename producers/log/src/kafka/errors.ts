/** What kafkajs's errors mean for the log core. */

interface KafkaError {
  readonly name?: string
  readonly type?: string
  readonly message?: string
  readonly retriable?: boolean
  readonly cause?: unknown
}

/** kafkajs wraps what really happened once its own retries are used up. */
export const rootOf = (error: unknown): KafkaError => {
  let root = error as KafkaError
  for (let depth = 0; depth < 8; depth++) {
    if (root?.name !== 'KafkaJSNumberOfRetriesExceeded' && root?.name !== 'KafkaJSNonRetriableError') break
    if (root.cause === undefined || root.cause === root) break
    root = root.cause as KafkaError
  }
  return root ?? {}
}

export const describe = (error: unknown): string => {
  const root = rootOf(error)
  return root.type ? `${root.type}: ${root.message ?? ''}` : (root.message ?? String(error))
}

/** Protocol errors after which the same request may succeed later, at this broker or another. */
const passingTypes: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION', // also while a new topic's metadata spreads
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'REQUEST_TIMED_OUT',
  'NETWORK_EXCEPTION',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KAFKA_STORAGE_ERROR',
  'NOT_CONTROLLER',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
])

/** Errors of the way to the broker, not of what it was asked. */
const passingNames: ReadonlySet<string> = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
  'KafkaJSGroupCoordinatorNotFound',
  'KafkaJSLockTimeout',
  'KafkaJSNoBrokerAvailableError',
])

/** Whether asking again may help; anything unknown is not retried. */
export const brokerMayAnswerLater = (error: unknown): boolean => {
  const root = rootOf(error)
  if (root.type !== undefined) return passingTypes.has(root.type)
  return passingNames.has(root.name ?? '')
}

export const isType = (error: unknown, ...types: readonly string[]): boolean => types.includes(rootOf(error).type ?? '')
