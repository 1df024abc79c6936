import { deadLettersTopic } from '@omium/schemas'
import type { DeadLetter, LogContext } from './contract.ts'
import { GroupCommit } from './group-commit.ts'
import { partitionFor } from './partitioning.ts'
import { systemTimers } from './timers.ts'
import type { RawRecord } from './transport.ts'

const maxAttempts = 8

/** A dead letter keeps the record as it was found; the reason is in headers beside the record's own. */
export const deadLetterRecord = ({ source, code, detail, reportedBy }: DeadLetter): RawRecord => ({
  key: source.key,
  headers: {
    ...source.headers,
    'dead-letter-code': code,
    'dead-letter-detail': detail.slice(0, 8192),
    'dead-letter-reported-by': reportedBy,
    'dead-letter-topic': source.topic,
    'dead-letter-partition': String(source.partition),
    'dead-letter-offset': String(source.offset),
  },
  value: source.value,
})

export interface DeadLetterWriter {
  /** resolves when the letter is on the log; it may be there twice after an error */
  write(letter: DeadLetter): Promise<void>
  close(): Promise<void>
}

export const openDeadLetterWriter = async (context: LogContext): Promise<DeadLetterWriter> => {
  const topic = deadLettersTopic(context.topicPrefix)
  const partitions = await context.transport.partitionCount(topic)
  const commits = new GroupCommit({ transport: context.transport, timers: context.timers ?? systemTimers, maxAttempts })
  return {
    write: async (letter) => {
      const from = `${letter.source.topic}/${letter.source.partition}`
      await commits.send(topic, partitionFor(from, partitions), deadLetterRecord(letter))
    },
    close: () => commits.close(),
  }
}
