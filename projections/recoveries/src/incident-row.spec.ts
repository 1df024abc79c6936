import type { IncidentEvent, IncidentStatus } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { applied, escalated, failed, failedAt, givenUp, opened, planned, succeeded } from '../test/histories.ts'
import { evolve, type IncidentRow } from './incident-row.ts'
import { fromStored, toStored } from './rows.ts'

const place = (version: number) => ({
  tenant: 't',
  id: 'run.1',
  version,
  time: failedAt + version,
  partition: 1,
  offset: version,
})
const fold = (...events: IncidentEvent[]): IncidentRow => {
  const row = events.reduce<IncidentRow | undefined>(
    (before, event, i) => evolve(before, event, place(i + 1)),
    undefined,
  )
  if (!row) throw new Error('no events')
  return row
}
const finished: IncidentEvent = { type: 'CompensationFinished', data: { executionId: 'c', status: 'completed' } }
const started: IncidentEvent = {
  type: 'CompensationStarted',
  data: { plan: 1, executionId: 'c', agentId: 'undo', effects: 1, page: 1, pages: 1 },
}
const intervention: IncidentEvent = {
  type: 'InterventionDecided',
  data: {
    executionId: 'run',
    agentId: 'buyer',
    awaiting: 1,
    kind: 'stall',
    attempt: 1,
    error: { code: 'execution_stalled', detail: 'still', retryable: false },
    why: 'still',
  },
}
const refused: IncidentEvent = { type: 'InterventionRefused', data: { why: 'over' } }

describe('an incident', () => {
  it.each<[IncidentStatus, IncidentEvent[]]>([
    ['planned', [opened('run'), planned()]],
    ['recovering', [opened('run'), planned(), applied()]],
    ['escalated', [opened('run'), planned(1, 'ask_person'), escalated()]],
    ['compensating', [opened('run'), planned(), started]],
    ['planned', [opened('run'), planned(), started, finished]],
    ['intervening', [intervention]],
    ['recovering', [opened('run'), planned(), applied(), intervention, refused]],
    ['succeeded', [opened('run'), planned(), applied(), failed(), planned(2), applied(2), succeeded(2)]],
    ['given_up', [opened('run'), planned(), givenUp]],
    ['dismissed', [intervention, refused, { type: 'IncidentDismissed', data: { why: 'over', at: failedAt } }]],
  ])('is %s', (status, events) => {
    expect(fold(...events).status).toBe(status)
  })

  it('shows its latest plan and what it took', () => {
    expect(
      fold(opened('run'), planned(), applied(), failed(), planned(2), applied(2), succeeded(2, 250)),
    ).toMatchObject({
      plan: 2,
      attempts: 2,
      why: 'plan 2',
      policy: 'mine',
      policyVersion: 2,
      openedAt: failedAt,
      closedAt: failedAt + 7,
      recoveredInMs: 250,
      costMicroCredits: 9,
    })
  })

  it('begins with its beginning', () => {
    expect(() => fold(planned())).toThrow('before the incident was opened')
  })

  it('is stored as it is, but for characters that Postgres refuses', () => {
    const row = fold(opened('run', 'no \0 here'), planned(1, 'ask_person'), escalated())
    const stored = toStored(row)
    const asRead = Object.fromEntries(
      Object.entries(stored).map(([name, value]) => {
        if (value === null || typeof value === 'number') return [name, value]
        if (/_at$|^until$/.test(name)) return [name, new Date(value)]
        return [name, /^(root_cause|chain|error|step|action)$/.test(name) ? JSON.parse(value) : value]
      }),
    )
    expect(fromStored(asRead as never)).toEqual(row)
  })
})

it('stores a time that no calendar has as the last one that Postgres reads', () => {
  const escalatedForEver: IncidentEvent = {
    type: 'EscalatedToPerson',
    data: { plan: 1, question: 'when?', untilMs: Number.MAX_SAFE_INTEGER },
  }
  expect(toStored(fold(opened('run'), escalatedForEver)).until).toBe('9999-12-31T00:00:00.000Z')
})
