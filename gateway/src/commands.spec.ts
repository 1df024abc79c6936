import type { CommandSender } from '@omium/log'
import type { Live } from '@omium/projection-kit'
import { OmiumError } from '@omium/schemas'
import { describe, expect, it, vi } from 'vitest'
import { createExecute } from './commands.ts'

const asker = { tenant: 'ten_a', actor: 'key:k', correlationId: 'req_1' }

/** A command whose sending and whose outcome are settled by the spec. */
const begin = () => {
  const sending = Promise.withResolvers<{ partition: number; offset: number }>()
  const deciding = Promise.withResolvers<Awaited<ReturnType<Live['awaitOutcome']>['outcome']>>()
  const cancel = vi.fn()
  const sender = { send: () => sending.promise } as unknown as CommandSender
  const live = { awaitOutcome: () => ({ outcome: deciding.promise, cancel }) } as unknown as Live
  const answer = createExecute(sender, live, 1_000)(asker, 'execution:ten_a/x', 'cmd_1', { type: 'X', data: {} })
  return { sending, deciding, cancel, answer }
}
const accepted = { status: 'accepted', position: { partition: 1, offset: 2 }, deduplicated: false } as const
const gone = new OmiumError('timeout', 'no outcome')

describe('a command', () => {
  it('is answered with its outcome, also when that is seen before the brokers confirm it', async () => {
    const { deciding, answer } = begin()
    deciding.resolve(accepted)
    expect(await answer).toEqual({ position: '1:2', deduplicated: false })
  })

  it('is waited for no longer than it may take, also when the brokers do not answer', async () => {
    const { deciding, answer, cancel } = begin()
    deciding.reject(gone)
    await expect(answer).rejects.toBe(gone)
    expect(cancel).toHaveBeenCalled()
  })

  it('that cannot be sent is refused at once', async () => {
    const { sending, answer, cancel } = begin()
    const away = new OmiumError('log_unreachable', 'away')
    sending.reject(away)
    await expect(answer).rejects.toBe(away)
    expect(cancel).toHaveBeenCalled()
  })

  it('fails alone when it cannot be sent after nobody waits any more', async () => {
    const { sending, deciding, answer } = begin()
    deciding.reject(gone)
    await expect(answer).rejects.toBe(gone)
    sending.reject(new OmiumError('log_unreachable', 'away'))
    await new Promise((resolve) => setImmediate(resolve))
  })
})
