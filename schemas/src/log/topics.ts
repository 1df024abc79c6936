/** Topic names. `prefix` separates installations (and test files) on one cluster. */
export const defaultTopicPrefix = 'omium'

export const commandsTopic = (prefix: string, context: string): string => `${prefix}.${context}.commands`
export const eventsTopic = (prefix: string, context: string): string => `${prefix}.${context}.events`
/** Records that could not be decoded or applied, with the reason and where they came from. */
export const deadLettersTopic = (prefix: string): string => `${prefix}.dead-letters`
/** Registry subject of a record type: TopicRecordName strategy, one subject for each type on each topic. */
export const subjectOf = (topic: string, type: string): string => `${topic}-${type}`
