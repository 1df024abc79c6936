import { z } from 'zod'
import { v1 } from '../catalogue.ts'
import { errorCode } from '../errors.ts'

/**
 * Records that every events topic may carry, whatever its context. They belong to the log itself: `PartitionClaimed`
 * moves the epoch; `CommandRejected` and `CommandDeduplicated` tell the sender of a command what became of it when no event
 * of an aggregate does; `AggregateParked` makes every reader refuse what comes later for its aggregate, until
 * `AggregateUnparked`.
 */
export const partitionEvents = {
  PartitionClaimed: v1(
    z.object({
      owner: z.string().min(1),
      /** where workers reach this owner, for contexts that serve workers: ws:// or wss:// URL */
      endpoint: z.string().optional(),
    }),
  ),
  /** the command changed nothing, and why */
  CommandRejected: v1(z.object({ commandType: z.string(), code: errorCode, detail: z.string() })),
  /** the command was decided before (`outcome` as it was then), or asks for what is already so */
  CommandDeduplicated: v1(
    z.object({
      commandType: z.string(),
      outcome: z.union([z.literal('accepted'), z.object({ code: errorCode, detail: z.string() })]),
    }),
  ),
  /** the record at `offset` cannot be decoded or applied by the partition's owner: the aggregate stands still after it */
  AggregateParked: v1(
    z.object({
      offset: z.number().int().nonnegative(),
      code: errorCode,
      detail: z.string().max(8192),
      /** of the code that could not; the parking is lifted by an owner of another version that can */
      machineVersion: z.number().int().optional(),
    }),
  ),
  /** an owner whose code is of another version has applied the whole history of the aggregate: it goes on */
  AggregateUnparked: v1(z.object({ machineVersion: z.number().int() })),
} as const
