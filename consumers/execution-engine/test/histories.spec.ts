import { readdirSync, readFileSync } from 'node:fs'
import { type ExecutionEvent, executionEvents, upcast } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { evolve } from '../src/domain/evolve.ts'
import type { ExecutionState } from '../src/domain/execution.ts'
import { encodeExecution } from '../src/domain/snapshot.ts'

/**
 * Recorded histories, folded by today's code. A file is never changed: when one fails, the fold has changed the meaning of
 * what is on somebody's log. What a state has grown since is not in the file.
 */
interface History {
  about: string
  events: { type: ExecutionEvent['type']; schemaVersion: number; time: number; data: unknown }[]
  state: unknown
}

const folder = new URL('./histories/', import.meta.url)

describe('recorded histories', () => {
  for (const file of readdirSync(folder)) {
    const { about, events, state: recorded } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as History
    it(`${file}: ${about}`, () => {
      let state: ExecutionState | undefined
      for (const { type, schemaVersion, time, data } of events) {
        const lifted = executionEvents[type].data.parse(upcast(executionEvents, type, schemaVersion, data))
        state = evolve(state, { type, data: lifted } as ExecutionEvent, {
          tenant: 'ten_a',
          correlationId: 'cor_1',
          time,
        })
      }
      expect(state && JSON.parse(JSON.stringify(encodeExecution(state)))).toMatchObject(recorded as object)
    })
  }
})
