import { isTerminal, type JournalEntry, OmiumError } from '@omium/schemas'
import type { Client } from '../client/client.ts'
import type { RecordedRun } from './replay.ts'

/**
 * A finished run with everything that it recorded.
 * @throws OmiumError `execution_unknown`, `invalid_request` for one that has not finished
 */
export const recordedRun = async (client: Client, id: string): Promise<RecordedRun> => {
  const handle = client.handle(id)
  const view = await handle.get()
  if (!isTerminal(view.status)) {
    throw new OmiumError('invalid_request', `execution ${id} is ${view.status}: only finished runs can be replayed`)
  }
  const journal: JournalEntry[] = []
  for await (const { entry } of handle.journal()) journal.push(entry)
  const { agent, input = null, output = null, error } = view
  return {
    id,
    agent,
    input,
    journal,
    outcome:
      view.status === 'completed'
        ? { status: 'completed', output }
        : view.status === 'failed'
          ? { status: 'failed', code: error?.code ?? 'internal', detail: error?.detail ?? '' }
          : { status: 'cancelled' },
  }
}
