import { deadLettersTopic, OmiumError } from '@omium/schemas'
import type { DeadLetter, LogContext } from './contract.ts'
import { GroupCommit } from './group-commit.ts'
import { partitionFor } from './partitioning.ts'
import { systemTimers } from './timers.ts'
import type { RawRecord } from './transport.ts'

const maxAttempts = 8

const keptValueBytes = 1024
const keptKeyChars = 256

const reasonOf = ({ source, code, detail, reportedBy }: DeadLetter): Record<string, string> => ({
  'dead-letter-code': code,
  'dead-letter-detail': detail.slice(0, 8192),
  'dead-letter-reported-by': reportedBy,
  'dead-letter-topic': source.topic,
  'dead-letter-partition': String(source.partition),
  'dead-letter-offset': String(source.offset),
})

/** A dead letter keeps the record as it was found; the reason is in headers beside the record's own. */
export const deadLetterRecord = (letter: DeadLetter): RawRecord => {
  const { key, headers, value } = letter.source
  return { key, headers: { ...headers, ...reasonOf(letter) }, value }
}

/** For a record so large that the log would not take it with a reason: where it is, why, and how it begins. */
const shortened = (letter: DeadLetter): RawRecord => {
  const { key, value } = letter.source
  return {
    key: key?.slice(0, keptKeyChars) ?? null,
    headers: { ...reasonOf(letter), 'dead-letter-shortened': 'true' },
    value: value?.subarray(0, keptValueBytes) ?? null,
  }
}

export interface DeadLetterWriter {
  /** resolves when the letter is on the log; it may be there twice after an error */
  write(letter: DeadLetter): Promise<void>
  /** waits for what is being written, for `withinMs` at most */
  close(withinMs: number): Promise<void>
}

export const openDeadLetterWriter = async (context: LogContext): Promise<DeadLetterWriter> => {
  const topic = deadLettersTopic(context.topicPrefix)
  const partitions = await context.transport.partitionCount(topic)
  const commits = new GroupCommit({ transport: context.transport, timers: context.timers ?? systemTimers, maxAttempts })
  return {
    write: async (letter) => {
      const from = `${letter.source.topic}/${letter.source.partition}`
      const partition = partitionFor(from, partitions)
      try {
        await commits.send(topic, partition, deadLetterRecord(letter))
      } catch (error) {
        if (!(error instanceof OmiumError) || error.code !== 'payload_too_large') throw error
        await commits.send(topic, partition, shortened(letter))
      }
    },
    close: (withinMs) => commits.close(withinMs),
  }
}
