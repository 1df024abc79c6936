import { describe, expect, it } from 'vitest'
import { table } from './output.ts'

describe('a table', () => {
  const header = ['id', 'name', 'detail']
  const rows = [['exe_0123456789abcdef', 'a short name', 'd'.repeat(70)]]

  it('fits the terminal, and cuts nothing that has to be copied', () => {
    for (const columns of [60, 80, 200]) {
      const lines = table(header, rows, columns).split('\n')
      expect(Math.max(...lines.map(({ length }) => length)), String(columns)).toBeLessThanOrEqual(columns)
      expect(lines[1]).toMatch(/^exe_0123456789abcdef {2}/)
    }
    expect(table(header, rows, 60)).toMatch(/a short name {2}d+…$/)
    // ids stay whole where nothing fits
    expect(table(header, rows, 20)).toContain('exe_0123456789abcdef')
  })
  it('is cut to what a cell may be where nobody sees it', () => {
    expect(table(header, rows, undefined)).toContain(`${'d'.repeat(59)}…`)
  })
})
