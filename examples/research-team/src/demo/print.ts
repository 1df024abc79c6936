import type { StepRow } from './account.ts'
import type { Summary } from './summary.ts'

const columns = ['at', 'run', 'step', 'kind', 'attempt', 'how', 'took', 'tokens', 'cost'] as const
const rightAligned = new Set<string>(['at', 'attempt', 'took', 'tokens', 'cost'])

/** Micro-credits as credits (1 credit = 1 USD). */
const credits = (microCredits: number): string => (microCredits === 0 ? '' : (microCredits / 1e6).toFixed(6))

/** One line for each recorded step. `nameOf` shortens execution ids. */
export const timelineTable = (
  rows: readonly StepRow[],
  startedAt: number,
  nameOf: (executionId: string) => string,
): string => {
  const cells = rows.map(
    (row): Record<(typeof columns)[number], string> => ({
      at: `${((row.recordedAt - startedAt) / 1000).toFixed(3)} s`,
      run: nameOf(row.executionId),
      step: row.path,
      kind: row.kind,
      attempt: String(row.attempt),
      how: `${row.status === 'failed' ? 'failed' : 'run'}${row.replays > 0 ? `, replayed in attempt ${row.attempt + row.replays}` : ''}`,
      took: `${row.durationMs.toFixed(1)} ms`,
      tokens: row.tokens === 0 ? '' : String(row.tokens),
      cost: credits(row.costMicroCredits),
    }),
  )
  const widths = columns.map((column) => Math.max(column.length, ...cells.map((cell) => cell[column].length)))
  const line = (cell: Record<(typeof columns)[number], string>): string =>
    columns
      .map((column, index) => {
        const width = widths[index] ?? 0
        return rightAligned.has(column) ? cell[column].padStart(width) : cell[column].padEnd(width)
      })
      .join('  ')
      .trimEnd()
  const header = line(
    Object.fromEntries(columns.map((column) => [column, column])) as Record<(typeof columns)[number], string>,
  )
  return [header, widths.map((width) => '-'.repeat(width)).join('  '), ...cells.map(line)].join('\n')
}

/** The sums, each from its own source. */
export const summaryText = (summary: Summary, nameOf: (executionId: string) => string): string => {
  const { steps, takeover, modelCalls, toolCalls } = summary
  const lines: string[] = []
  if (takeover) {
    lines.push(
      `takeover      ${takeover.firstStepAfterMs === undefined ? 'nothing had to be taken over' : `${takeover.firstStepAfterMs} ms from SIGKILL to the first newly accepted step`}`,
    )
    for (const one of takeover.executions)
      lines.push(
        `              ${nameOf(one.executionId)}: attempt ${one.lostAttempt + 1} accepted after ${one.startedAfterMs ?? '?'} ms, its first step after ${one.firstStepAfterMs ?? '?'} ms`,
      )
    lines.push(
      `steps         ${steps.recorded} recorded: ${steps.recordedBeforeKill} before the kill, ${steps.runAfterKill} after it`,
      `replayed      ${steps.replayed} steps of the killed worker, answered from the journal`,
    )
  } else lines.push(`steps         ${steps.recorded} recorded`)
  if (modelCalls)
    lines.push(
      `model calls   ${modelCalls.received} received by the model server, ${modelCalls.recorded} recorded on the log${modelCalls.unrecorded > 0 ? `; ${modelCalls.unrecorded} in flight at the kill, made anew` : ''}`,
    )
  else lines.push('model calls   not counted: this model keeps no call log for the demo')
  lines.push(
    `tool calls    ${toolCalls.made} made by the workers, ${toolCalls.recorded} recorded on the log`,
    `run twice     ${summary.violations.length === 0 ? 'no recorded step' : summary.violations.join('; ')}`,
    `usage         ${summary.tokens} tokens, ${credits(summary.costMicroCredits) || '0'} credits`,
  )
  return lines.join('\n')
}
