import type { Io } from './io.ts'
import { table } from './output.ts'

/** Prints a list: one JSON object per line as the items come, or a table of all of them. */
export const printList = async <T>(
  io: Io,
  json: boolean | undefined,
  items: AsyncIterable<T>,
  header: readonly string[],
  rowOf: (item: T) => readonly string[],
  empty = '',
): Promise<void> => {
  const rows: (readonly string[])[] = []
  for await (const item of items) {
    if (json) io.out(JSON.stringify(item))
    else rows.push(rowOf(item))
  }
  if (!json) io.out(rows.length === 0 && empty ? empty : table(header, rows))
}
