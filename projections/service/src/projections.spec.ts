import { describe, expect, it } from 'vitest'
import { maintenanceNamed, projections } from './projections.ts'

describe('the list of projections', () => {
  it('gives each of them its maintenance, and names them all to who asks for another', () => {
    const names = projections.map(([{ name }]) => name)
    expect(names).toEqual(['executions', 'checkpoints', 'recoveries', 'workflows', 'identity', 'webhooks'])
    for (const name of names)
      expect(maintenanceNamed(name)).toEqual({ rebuild: expect.any(Function), verify: expect.any(Function) })
    expect(() => maintenanceNamed('others')).toThrow(
      /there are executions, checkpoints, recoveries, workflows, identity, webhooks/,
    )
  })
})
