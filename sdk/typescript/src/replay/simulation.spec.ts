import type { Recording } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { Simulation } from './simulation.ts'

const recorded = (path: string, name: string, requestHash: string, value: string): Recording => ({
  path,
  name,
  kind: 'tool',
  requestHash,
  value,
})
const asked = (path: string, name: string, requestHash: string, effect = false) => ({ path, name, requestHash, effect })

describe('a simulation', () => {
  it('answers by path and request, then by name and request', () => {
    const simulation = new Simulation([recorded('a#1', 'search', 'h1', 'one'), recorded('a#2', 'search', 'h2', 'two')])
    expect(simulation.find(asked('a#1', 'search', 'h1'))?.value).toBe('one')
    expect(simulation.find(asked('moved#1', 'search', 'h2'))?.value).toBe('two')
    expect(simulation.find(asked('a#1', 'search', 'h3'))).toBeUndefined()
    expect(simulation.find(asked('a#1', 'other', 'h1'))?.value).toBe('one')
  })
  it('gives recordings of one request one after the other, then the last again', () => {
    const simulation = new Simulation(['1', '2', '3'].map((value) => recorded(`p#${value}`, 'poll', 'h', value)))
    const given = Array.from({ length: 4 }, (_, i) => simulation.find(asked(`q#${i}`, 'poll', 'h'))?.value)
    expect(given).toEqual(['1', '2', '3', '3'])
  })
  it('answers an effect with another request by the newest of its name', () => {
    const simulation = new Simulation([recorded('p#1', 'pay', 'h1', 'old'), recorded('p#2', 'pay', 'h2', 'new')])
    expect(simulation.find(asked('p#3', 'pay', 'h9', true))?.value).toBe('new')
    expect(simulation.find(asked('p#3', 'pay', 'h9'))).toBeUndefined()
  })
})
