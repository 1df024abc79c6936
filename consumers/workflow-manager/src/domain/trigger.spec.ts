import type { TriggerCommand, TriggerSource } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { mapEvent } from '../mapping.ts'
import { owedByTrigger } from './owed.ts'
import { decideTrigger, evolveTrigger, type TriggerState } from './trigger.ts'

const identity = { tenant: 't', id: 'hook', correlationId: 'c' }
const put = (source: TriggerSource = { type: 'webhook', sealedSecret: 's' }): TriggerCommand => ({
  type: 'PutTrigger',
  data: {
    triggerId: 'hook',
    spec: { workflow: 'w', source, filter: 'event.n > 1', parameters: { n: '${event.n}' } },
  },
})
const fire = (eventId: string, event: object): TriggerCommand => ({
  type: 'FireTrigger',
  data: { eventId, event: event as never },
})
const given = (...commands: TriggerCommand[]) => {
  let state: TriggerState | undefined
  const decide = (command: TriggerCommand) => decideTrigger(state, command, 'hook', 'key:1', mapEvent)
  for (const command of commands) {
    const decision = decide(command)
    if (decision.status === 'decided')
      for (const event of decision.events) state = evolveTrigger(state, event, identity)
  }
  return {
    state: state as TriggerState,
    when: (command: TriggerCommand) => {
      const decision = decide(command)
      if (decision.status === 'refused') return decision.code
      return decision.events.map(({ type, data }) =>
        type === 'TriggerIgnored' ? `ignored: ${data.reason}${data.detail ? `: ${data.detail}` : ''}` : type,
      )
    },
  }
}

describe('a trigger', () => {
  it('fires once for an event that the filter lets through, with the parameters that it makes of it', () => {
    expect(given(put()).when(fire('e', { n: 1 }))).toEqual(['ignored: filtered'])
    expect(given(put()).when(fire('e', { n: 2 }))).toEqual(['TriggerFired'])
    const { state, when } = given(put(), fire('e', { n: 2 }))
    expect(Object.values(state.runs)).toMatchObject([{ parameters: { inline: { n: 2 } } }])
    expect(when(fire('e', { n: 2 }))).toEqual([])
  })

  it('says why an event could not be used; paused, it ignores events; unknown, it refuses them', () => {
    expect(given(put()).when(fire('e', {}))).toEqual([
      'ignored: failed: the expression `event.n > 1` cannot be evaluated: No such key: n',
    ])
    expect(given(put(), { type: 'PauseTrigger', data: {} }).when(fire('e', { n: 2 }))).toEqual(['ignored: paused'])
    expect(given().when(fire('e', { n: 2 }))).toBe('trigger_unknown')
    expect(given(put(), { type: 'DeleteTrigger', data: {} }).when(fire('e', { n: 2 }))).toBe('trigger_unknown')
  })

  it('owes its subscription, and the end of an earlier one, with other ids each time it is put', () => {
    const on = (workflow: string): TriggerSource => ({ type: 'workflow', workflow, on: ['completed'] })
    const owed = (...commands: TriggerCommand[]) => owedByTrigger(given(...commands).state)
    const names = (...commands: TriggerCommand[]) =>
      owed(...commands).map((one) => one.what === 'command' && `${one.command.type} ${one.to.id}`)
    expect(names(put(on('a')))).toEqual(['SubscribeToWorkflow a'])
    expect(names(put(on('a')), put(on('b')))).toEqual(['UnsubscribeFromWorkflow a', 'SubscribeToWorkflow b'])
    expect(names(put(on('a')), put(on('b')), put(on('a')))).toEqual([
      'UnsubscribeFromWorkflow b',
      'SubscribeToWorkflow a',
    ])
    expect(owed(put(on('a')))[0]?.id).not.toBe(owed(put(on('a')), put(on('b')), put(on('a')))[1]?.id)
    expect(names(put(on('a')), { type: 'DeleteTrigger', data: {} })).toEqual(['UnsubscribeFromWorkflow a'])
  })
})
