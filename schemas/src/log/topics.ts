import { OmiumError } from '../errors.ts'

/** Topic names. `prefix` separates installations (and test files) on one cluster. */
export const defaultTopicPrefix = 'omium'

export const commandsTopic = (prefix: string, context: string): string => `${prefix}.${context}.commands`
export const eventsTopic = (prefix: string, context: string): string => `${prefix}.${context}.events`
/** Records that could not be decoded or applied, with the reason and where they came from. */
export const deadLettersTopic = (prefix: string): string => `${prefix}.dead-letters`
/** Registry subject of a record type: TopicRecordName strategy, one subject for each type on each topic. */
export const subjectOf = (topic: string, type: string): string => `${topic}-${type}`

/** What separates topics of tenants from those of the platform; no prefix and no context has this name. */
export const tenantTopicsSegment = 'tenants'
const tenantPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/
/** what Kafka allows */
const longestTopic = 249

/**
 * The topic that a tenant knows as `name`: `<prefix>.tenants.<tenant>.<name>`. Nothing else can be named this way, whatever the
 * tenant is called and whatever name it asks for:
 * 1. No installation's prefix has a segment `tenants` (the settings refuse it) and no context is called so, so a topic of the
 *    platform, of this installation or of another on the same cluster, never looks like this.
 * 2. The first segment `tenants` ends the prefix, and a tenant's id has no dot, so it ends at the next one: two tenants never
 *    share a topic.
 * @throws OmiumError `invalid_request`
 */
export const tenantTopic = (prefix: string, tenant: string, name: string): string => {
  if (!tenantPattern.test(tenant))
    throw new OmiumError(
      'invalid_request',
      `a tenant "${tenant}" cannot have topics: its id has other characters than A-Z a-z 0-9 _ -`,
    )
  const topic = `${prefix}.${tenantTopicsSegment}.${tenant}.${name}`
  if (topic.length > longestTopic)
    throw new OmiumError('invalid_request', `the topic ${topic} has more than ${longestTopic} characters`)
  return topic
}
