import type { CheckpointDetail, CheckpointView, EventView, ExecutionView, StepView } from '@omium/schemas'
import type { Io } from './io.ts'

const maxCellWidth = 60
const longLine = 100
/** one line: what is in a cell must not look like another row */
const clip = (text: string, width = maxCellWidth): string => {
  const line = text.replaceAll('\n', '\\n').replaceAll('\t', '\\t')
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`
}

/** what has to be copied whole is never cut */
const whole: readonly string[] = ['id', 'tenant', 'thread', 'record', 'path']
const minCellWidth = 8

/** Widths that fit a line: the widest of what may be cut gives way first. */
const fitted = (header: readonly string[], widths: readonly number[], columns: number): number[] => {
  const fitting = [...widths]
  for (;;) {
    const over = fitting.reduce((sum, width) => sum + width + 2, -2) - columns
    if (over <= 0) return fitting
    const [widest = -1] = header
      .map((_, i) => i)
      .filter((i) => !whole.includes(header[i] ?? '') && (fitting[i] ?? 0) > minCellWidth)
      .sort((a, b) => (fitting[b] ?? 0) - (fitting[a] ?? 0))
    if (widest < 0) return fitting
    fitting[widest] = (fitting[widest] ?? 0) - 1
  }
}

/**
 * Rows under a header, columns aligned; values are cut to what fits a line.
 * @param columns of the terminal; undefined: nobody sees one
 */
export const table = (
  header: readonly string[],
  rows: readonly (readonly string[])[],
  columns: number | undefined = process.stdout.columns,
): string => {
  const cells = [header.map((name) => name.toUpperCase()), ...rows].map((row) => row.map((cell) => clip(cell)))
  const needed = header.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)))
  const widths = columns === undefined ? needed : fitted(header, needed, columns)
  return cells
    .map((row) =>
      row
        .map((cell, i) => clip(cell, widths[i]).padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** One document for machines, or the text for people. */
export const show = (io: Io, json: boolean | undefined, value: unknown, text: () => string): void =>
  io.out(json ? JSON.stringify(value) : text())

export const money = (microCredits: number): string => `$${(microCredits / 1_000_000).toFixed(4)}`
const oneLine = (value: unknown): string => (value === undefined ? '' : JSON.stringify(value))

export const executionsTable = (items: readonly ExecutionView[]): string =>
  table(
    ['id', 'agent', 'status', 'attempt', 'steps', 'cost', 'created'],
    items.map((run) => [
      run.id,
      run.agent,
      run.status,
      String(run.attempt),
      String(run.stepsCompleted),
      money(run.costMicroCredits),
      run.createdAt,
    ]),
  )

export const stepsTable = (steps: readonly StepView[]): string =>
  table(
    ['path', 'kind', 'status', 'attempt', 'try', 'ms', 'cost', 'result'],
    steps.map((step) => [
      step.path,
      step.kind,
      step.status,
      String(step.executionAttempt),
      String(step.stepAttempt),
      step.durationMs === undefined ? '' : String(Math.round(step.durationMs)),
      step.costMicroCredits === undefined ? '' : money(step.costMicroCredits),
      step.error ? `${step.error.code}: ${step.error.detail}` : oneLine(step.output),
    ]),
  )

const labelsText = (labels: Readonly<Record<string, string>> = {}): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ')

export const executionText = (run: ExecutionView): string => {
  const lines: [string, string | undefined][] = [
    ['id', run.id],
    ['agent', run.agent],
    ['status', run.status],
    ['waits for', run.waitingFor?.join(', ')],
    ['attempt', String(run.attempt)],
    ['steps', String(run.stepsCompleted)],
    ['cost', `${money(run.costMicroCredits)} (${run.inputTokens} tokens in, ${run.outputTokens} out)`],
    ['created', run.createdAt],
    ['finished', run.finishedAt],
    ['parent', run.parentId],
    ['forked from', run.forkedFrom && `${run.forkedFrom}${run.forkedToPath ? ` up to ${run.forkedToPath}` : ''}`],
    ['rolled back', run.generation === undefined ? undefined : `${run.generation} time(s)`],
    ['recovery', run.recovery && `${run.recovery.error.code}: ${run.recovery.error.detail}`],
    ['labels', labelsText(run.options.labels)],
    ['input', oneLine(run.input)],
    ['output', oneLine(run.output)],
    ['error', run.error && `${run.error.code}: ${run.error.detail}`],
  ]
  return lines.flatMap(([name, value]) => (value ? [`${name.padEnd(12)}${value}`] : [])).join('\n')
}

export const checkpointsTable = (items: readonly CheckpointView[]): string =>
  table(
    ['thread', 'id', 'namespace', 'kind', 'status', 'bytes', 'label', 'created'],
    items.map((one) => [
      one.thread,
      one.id,
      one.namespace,
      one.kind,
      one.status,
      String(one.bytes),
      one.label ?? '',
      one.createdAt,
    ]),
  )

export const checkpointText = (one: CheckpointDetail): string => {
  const state = 'json' in one.state ? JSON.stringify(one.state.json, null, 2) : `${one.bytes} bytes of ${one.format}`
  const lines: [string, string | undefined][] = [
    ['thread', one.thread],
    ['id', one.id],
    ['instead of', one.insteadOf && `${one.insteadOf}, which is damaged`],
    ['namespace', one.namespace],
    ['parent', one.parent],
    ['kind', one.kind],
    ['status', one.status],
    ['label', one.label],
    ['of', one.point && `${one.point.executionId} at version ${one.point.version}`],
    ['metadata', Object.keys(one.metadata).length > 0 ? oneLine(one.metadata) : undefined],
    ['pinned by', one.pins.join(', ')],
    ['writes', one.writes.length > 0 ? String(one.writes.length) : undefined],
    ['created', one.createdAt],
    ['sha256', one.sha256],
  ]
  return [...lines.flatMap(([name, value]) => (value ? [`${name.padEnd(12)}${value}`] : [])), '', state].join('\n')
}

/**
 * Live output comes in pieces of a few characters: they are put together to lines, which are printed when they are whole or
 * long, or when there is something else to say.
 */
export class LiveLines {
  readonly #print: (line: string) => void
  #path = ''
  #text = ''

  constructor(print: (line: string) => void) {
    this.#print = print
  }

  add(path: string, text: string): void {
    if (path !== this.#path) this.flush()
    this.#path = path
    const lines = (this.#text + text).split('\n')
    this.#text = lines.pop() ?? ''
    for (const line of lines) this.#line(line)
    if (this.#text.length >= longLine) this.flush()
  }

  flush(): void {
    if (this.#text !== '') this.#line(this.#text)
    this.#text = ''
  }

  #line(text: string): void {
    this.#print(`  ${this.#path}  ${text}`)
  }
}

export const eventLine = (event: EventView): string => {
  const data = event.data as {
    path?: string
    attempt?: number
    durationMs?: number
    error?: { code: string; detail: string }
  }
  const parts = [event.time, event.type.padEnd(20), data?.path ?? '']
  if (data?.durationMs !== undefined) parts.push(`${Math.round(data.durationMs)} ms`)
  if (data?.error) parts.push(`${data.error.code}: ${data.error.detail}`)
  return parts.join('  ').trimEnd()
}
