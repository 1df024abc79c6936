import { UsageError } from './exit-codes.ts'
import type { Io } from './io.ts'

/**
 * Questions to the person at the terminal. They go to standard error: standard output is for results, and may be captured.
 */
const load = () => import('@clack/prompts')
const output = process.stderr

/** A secret from a person without an echo, or from standard input; never from the command line, which others can read. */
export const readSecret = async (io: Io, message: string): Promise<string> => {
  if (!io.interactive) return (await io.readStdin()).trim()
  const { isCancel, password } = await load()
  const given = await password({ message, output })
  if (isCancel(given)) throw new UsageError('nothing was given')
  return given.trim()
}

/** A line from a person, or standard input. @returns `''` for nothing */
export const readLine = async (io: Io, message: string): Promise<string> => {
  if (!io.interactive) return (await io.readStdin()).trim()
  if (io.typed) return io.typed(message)
  const { isCancel, text } = await load()
  const given = await text({ message, output })
  if (isCancel(given)) throw new UsageError('nothing was given')
  return (given ?? '').trim()
}

/** Whether a person says yes; what ends the question says no. */
export const confirm = async (message: string): Promise<boolean> => {
  const prompts = await load()
  return (await prompts.confirm({ message, initialValue: false, output })) === true
}

/** @throws UsageError when nothing is picked */
export const pick = async (
  message: string,
  options: readonly { readonly value: string; readonly label: string; readonly hint: string }[],
): Promise<string> => {
  const { isCancel, select } = await load()
  const picked = await select({ message, options: [...options], output })
  if (isCancel(picked)) throw new UsageError('nothing was decided')
  return picked
}
