import { type WorkerMessage, workerMessage } from '@omium/schemas'

/** Which request a message is about, when it says so. */
export interface RequestIdentity {
  readonly executionId: string
  readonly attempt: number
  readonly seq: number
}

/**
 * Checks what a worker sent against the schema. Measured at 0.8 µs for a `step_completed`, one percent of a core at 12,000
 * steps/s: a hand-written check for the hot message saved too little to be kept.
 */
export const parseWorkerMessage = (
  value: unknown,
): { message: WorkerMessage } | { problem: string; about: RequestIdentity | null } => {
  const result = workerMessage.safeParse(value)
  if (result.success) return { message: result.data }
  const problem = result.error.issues
    .slice(0, 3)
    .map((issue) => `${issue.path.join('.') || 'message'}: ${issue.message}`)
    .join('; ')
  return { problem, about: identityOf(value) }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0

const identityOf = (value: unknown): RequestIdentity | null => {
  if (typeof value !== 'object' || value === null) return null
  const { executionId, attempt, seq } = value as Record<string, unknown>
  return typeof executionId === 'string' && isCount(attempt) && isCount(seq) ? { executionId, attempt, seq } : null
}
