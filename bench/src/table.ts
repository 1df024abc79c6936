/** Rows as aligned text; numbers to the right. Columns are those of the first row. */
export const table = (rows: readonly Readonly<Record<string, string | number | undefined>>[]): string => {
  const columns = Object.keys(rows[0] ?? {})
  const text = (value: string | number | undefined): string =>
    typeof value === 'number' ? value.toLocaleString('en-US', { maximumFractionDigits: 2 }) : (value ?? '-')
  const cells = rows.map((row) => columns.map((column) => text(row[column])))
  const widths = columns.map((column, index) => Math.max(column.length, ...cells.map((row) => row[index]?.length ?? 0)))
  const numeric = columns.map((column) => rows.some((row) => typeof row[column] === 'number'))
  const line = (values: readonly string[]): string =>
    values
      .map((value, index) => (numeric[index] ? value.padStart(widths[index] ?? 0) : value.padEnd(widths[index] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(columns), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.map(line)].join('\n')
}
