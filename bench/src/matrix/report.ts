import { table } from '../table.ts'
import type { Cell } from './cell.ts'
import { expected, type Fault, type Framework, faults, frameworks, outcomeOf } from './expected.ts'

export interface Times {
  readonly of: string
  readonly runs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface MatrixResult {
  readonly fsync: boolean
  readonly runs: number
  readonly cells: readonly Cell[]
  readonly deviations: readonly string[]
  readonly byClass: readonly Times[]
  readonly byFramework: readonly Times[]
}

const timesOf = (name: string, cells: readonly Cell[]): Times[] => {
  const sorted = cells.flatMap(({ ms }) => ms ?? []).sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
  if (sorted.length === 0) return []
  return [{ of: name, runs: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }]
}

export const matrixResult = (fsync: boolean, runs: number, cells: readonly Cell[]): MatrixResult => ({
  fsync,
  runs,
  cells,
  deviations: cells.flatMap(({ runId, deviations }) => deviations.map((one) => `${runId}: ${one}`)),
  byClass: faults.flatMap((fault) =>
    timesOf(
      fault,
      cells.filter((cell) => cell.fault === fault),
    ),
  ),
  byFramework: frameworks.flatMap((framework) =>
    timesOf(
      framework,
      cells.filter((cell) => cell.framework === framework),
    ),
  ),
})

const cellText = (cells: readonly Cell[], fault: Fault, framework: Framework): string => {
  const own = cells.filter((cell) => cell.fault === fault && cell.framework === framework)
  if (own.length === 0) return '-'
  const good = own.filter(({ deviations }) => deviations.length === 0).length
  const wanted = outcomeOf(fault, framework)
  return good === own.length ? `${wanted} ${good}/${own.length}` : `NOT ${wanted} ${good}/${own.length}`
}

const timesText = (name: string, times: readonly Times[]): string =>
  table(
    times.map(({ of, runs, p50Ms, p99Ms, maxMs }) => ({
      [name]: of,
      runs,
      'p50 ms': p50Ms,
      'p99 ms': p99Ms,
      'max ms': maxMs,
    })),
  )

export const matrixText = ({ fsync, runs, cells, deviations, byClass, byFramework }: MatrixResult): string =>
  [
    `each class of failure in each framework, ${runs} times; durability ${fsync ? 'fsync' : 'default'}`,
    'what had to come of it, and in how many runs it did:',
    '',
    table(
      faults.map((fault) => ({
        class: fault,
        injected: expected[fault].injected,
        ...Object.fromEntries(frameworks.map((framework) => [framework, cellText(cells, fault, framework)])),
      })),
    ),
    '',
    'from the failure to the moment when the run got past it (ask_person: until the question), delays of policies 0',
    '',
    timesText('class', byClass),
    '',
    timesText('framework', byFramework),
    '',
    deviations.length === 0 ? 'all as expected' : `${deviations.length} deviations:`,
    ...deviations,
  ].join('\n')
