import { describe, expect, it } from 'vitest'
import { compileExpression, ExpressionProblem, type ScopeName } from './expressions.ts'
import { fillTemplate, parseText } from './templates.ts'

const names: readonly ScopeName[] = ['parameters', 'nodes', 'item']
const scope = {
  parameters: { n: 3, x: 1.5, words: ['a', 'b'], text: 'abc', none: null, nested: { 'odd key': 1 } },
  nodes: { plan: { output: { title: 'T', parts: [1, 2, 3] } } },
  item: { id: 7 },
}
const value = (source: string) => compileExpression(source, names).evaluate(scope)
const problem = (source: string, nesting = 2): string => {
  try {
    compileExpression(source, names, nesting)
  } catch (error) {
    if (error instanceof ExpressionProblem) return `${error.start}: ${error.message}`
    throw error
  }
  return 'none'
}

describe('expressions', () => {
  it('calculate with JSON numbers, literals and lists alike', () => {
    expect(value('parameters.n + 1')).toBe(4)
    expect(value('parameters.n / 2')).toBe(1.5)
    expect(value('nodes.plan.output.parts.map(p, p + 1)')).toEqual([2, 3, 4])
    expect(value('size(nodes.plan.output.parts) + 1')).toBe(4)
    expect(value('{"a": parameters.n, "b": [1, "x"]}')).toEqual({ a: 3, b: [1, 'x'] })
  })

  it('have the functions that wiring needs', () => {
    expect(value('parameters.words.join(", ")')).toBe('a, b')
    expect(value('json(nodes.plan.output.parts)')).toBe('[1,2,3]')
    expect(value('default(parameters.none, "instead")')).toBe('instead')
    expect(value('keys(parameters.nested)')).toEqual(['odd key'])
    expect(value('has(parameters.absent) ? 1 : 2')).toBe(2)
  })

  it('give no more than can be carried, however small what they are made of', () => {
    const list = { parameters: { list: new Array(3_000).fill(1), text: 'x'.repeat(10_000) } }
    const large = (source: string) => () => compileExpression(source, ['parameters']).evaluate(list)
    expect(large('parameters.list.map(x, parameters.list)')).toThrow(/the result is too large/)
    expect(large('parameters.list.map(x, parameters.text)')).toThrow(/the result is too large/)
  })

  it('tell what they read', () => {
    const read = (source: string) => compileExpression(source, names).references
    expect(read('nodes.plan.output.title + parameters["text"]')).toEqual([
      ['nodes', 'plan', 'output', 'title'],
      ['parameters', 'text'],
    ])
    expect(read('parameters.words.map(w, nodes.plan.output[w])')).toEqual([
      ['parameters', 'words'],
      ['nodes', 'plan', 'output'],
    ])
    expect(read('nodes.plan.output.parts[parameters.n]')).toEqual([
      ['nodes', 'plan', 'output', 'parts'],
      ['parameters', 'n'],
    ])
  })

  it('are refused with the place of what is wrong', () => {
    expect(problem('parameters.n +')).toMatch(/^14: Unexpected/)
    expect(problem('whatever + 1')).toBe('0: Unknown variable: whatever')
    expect(problem('parameters.text.matches("(a+)+")')).toMatch(/matches\(\) is not available/)
    expect(problem('cel.bind(a, 1, a + a)')).toMatch(/bind\(\) is not available/)
  })

  it('are bounded: length, comprehensions, their nesting, and growth inside them', () => {
    expect(problem(`"${'x'.repeat(4100)}"`)).toMatch(/longer than 4096/)
    const chain = (n: number) => `parameters.words${'.map(w, w + w)'.repeat(n)}`
    expect(problem(chain(4))).toBe('none')
    expect(problem(chain(5))).toMatch(/at most 4 comprehensions/)
    expect(problem('parameters.words.map(a, a + a + a + a + a + a)')).toMatch(/at most 4 additions/)
    expect(problem('[1].map(a, [2].map(b, [3].map(c, c)))')).toMatch(/nest at most 2 deep/)
    expect(problem('[1].map(a, [2].map(b, b))', 1)).toMatch(/nest at most 1 deep/)
  })

  it('say what failed when they run', () => {
    expect(() => value('parameters.text.title')).toThrow(
      /the expression `parameters.text.title` cannot be evaluated: No such key: title/,
    )
    expect(() => value('parameters.n / 0.0')).toThrow(/JSON does not have/)
    expect(() => value('parameters.constructor')).toThrow(/No such key: constructor/)
  })
})

describe('templates', () => {
  it('keep the type of a string that is one expression, and put others into text', () => {
    expect(
      fillTemplate({ list: '${parameters.words}', text: 'n = ${parameters.n}, ${parameters.words}', n: 1 }, scope),
    ).toEqual({ list: ['a', 'b'], text: 'n = 3, ["a","b"]', n: 1 })
  })

  it('skip braces and quotes inside expressions, and `$${` is literal', () => {
    expect(fillTemplate("${ {'a': '}'}.a }", scope)).toBe('}')
    expect(fillTemplate('a literal $${x} and ${parameters.n}', scope)).toBe('a literal ${x} and 3')
  })

  it('name the place of a problem in the whole text', () => {
    const start = (text: string) => {
      try {
        parseText(text, names)
        return -1
      } catch (error) {
        return (error as ExpressionProblem).start
      }
    }
    expect(start('ok ${parameters.n} then ${oops}')).toBe(26)
    expect(start('never ${closed')).toBe(6)
  })
})
