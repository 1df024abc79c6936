import { createHash } from 'node:crypto'

/** What a message is known by, to receivers too: the same for the same endpoint and event, whoever asks and however often. */
export const messageIdOf = (endpointId: string, eventId: string, type: string): string =>
  `msg_${createHash('sha256')
    .update(JSON.stringify([endpointId, eventId, type]))
    .digest('hex')
    .slice(0, 32)}`
