import { describe, expect, it } from 'vitest'
import { visible } from './io.ts'
import { table } from './output.ts'

/** What others chose the words of must not act on the terminal of whoever reads it. */
describe('text for a terminal', () => {
  it.each([
    ['a colour', '\u001b[31mred', '\\u001b[31mred'],
    ['the window title', '\u001b]0;title\u0007', '\\u001b]0;title\\u0007'],
    ['the clipboard', '\u001b]52;c;cm0gLXJm\u001b\\', '\\u001b]52;c;cm0gLXJm\\u001b\\'],
    ['one byte that begins a sequence', '\u009b2J', '\\u009b2J'],
    ['the beginning of the line', 'failed\rcompleted', 'failed\\u000dcompleted'],
    ['what was printed before', 'no\b\bok\u007f', 'no\\u0008\\u0008ok\\u007f'],
    ['the order of words', '\u202egnp.exe\u2066', '\\u202egnp.exe\\u2066'],
  ])('shows what would change %s', (_what, text, shown) => {
    expect(visible(text)).toBe(shown)
  })

  it('leaves everything else, and JSON what it says', () => {
    const plain = 'Größe\t日本語 🎉 עברית\nnext'
    expect(visible(plain)).toBe(plain)
    const value = { text: '\u001b[2J\u009b\u007f\u202e "\\u0041" \n' }
    expect(JSON.parse(visible(JSON.stringify(value)))).toEqual(value)
  })

  it('one value is one cell of one row', () => {
    expect(table(['a', 'b'], [['x\ny', '1']]).split('\n')).toHaveLength(2)
  })
})
