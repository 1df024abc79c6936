import type { TriggerCommand, TriggerSource } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { mapEvent } from '../mapping.ts'
import { owedByTrigger } from './owed.ts'
import { decideTrigger, evolveTrigger, type TriggerState } from './trigger.ts'

const identity = { tenant: 't', id: 'hook', correlationId: 'c', time: 1000 }
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

  it('knows events again by any id, also one that every object has, and forgets the oldest first, also of numbers', () => {
    expect(given(put()).when(fire('constructor', { n: 2 }))).toEqual(['TriggerFired'])
    const many = Array.from({ length: 1000 }, (_, i) => fire(`e${i}`, { n: 1 }))
    const { when } = given(put(), ...many, fire('7', { n: 1 }))
    expect([when(fire('7', { n: 1 })), when(fire('e0', { n: 1 }))]).toEqual([[], ['ignored: filtered']])
  })

  it('ends a chain of workflows that start each other when they end', () => {
    const on: TriggerSource = { type: 'workflow', workflow: 'a', on: ['completed'] }
    const ended = (chain: number): TriggerCommand => ({
      type: 'FireTrigger',
      data: { eventId: `e${chain}`, event: { status: 'completed', n: 2 }, chain },
    })
    const { state, when } = given(put(on), ended(7))
    expect(owedByTrigger(state).at(-1)).toMatchObject({ command: { data: { source: { type: 'trigger', chain: 7 } } } })
    expect(when(ended(51))).toEqual([
      'ignored: failed: 50 ends of workflows have led here, each starting the next run: the chain ends',
    ])
  })

  it('refuses events and parameters that everyone would wait for', () => {
    const spec = { workflow: 'w', source: { type: 'webhook', sealedSecret: 's' } } as const
    const large = { list: new Array(3_000).fill(1) }
    expect(mapEvent({ ...spec, filter: 'event.list.all(x, x in event.list)' }, large)).toEqual({
      failed: 'the event has more than 2000 values',
    })
    const text = { text: 'x'.repeat(40_000) }
    expect(mapEvent({ ...spec, parameters: new Array(100).fill('${event}') }, text)).toMatchObject({
      failed: expect.stringMatching(/^the parameters have \d+ bytes/),
    })
    expect(mapEvent({ ...spec, parameters: '${event}'.repeat(201) }, text)).toMatchObject({
      failed: expect.stringContaining('more than 200 expressions'),
    })
  })

  it('goes on with what comes after a pause', () => {
    const topic: TriggerSource = { type: 'topic', topic: 't.x' }
    const { state } = given(put(topic))
    const folded = (
      [
        { type: 'TriggerAdvanced', data: { positions: { 0: 5 } } },
        { type: 'TriggerPaused', data: { by: 'k' } },
        { type: 'TriggerResumed', data: { by: 'k' } },
      ] as const
    ).reduce((before, event, i) => evolveTrigger(before, event, { ...identity, time: 2000 + i }), state)
    expect([folded.status, folded.positions, folded.sinceMs]).toEqual(['active', {}, 2002])
  })
})
