import type { RunHandle, RunOptions } from '@omium/sdk'
import type { Command } from 'commander'
import { clientOf } from '../connection.ts'
import { Interrupted, RunFailed, UsageError } from '../exit-codes.ts'
import { readJsonArgument, wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { eventLine, show } from '../output.ts'

interface RunFlags {
  input?: string
  id?: string
  wait?: boolean
  detach?: boolean
  json?: boolean
  timeout?: number
  priority?: number
  budget?: number
  recovery?: string
}

/** Shows a run's steps as they happen, beside its result; ends with the run or with the signal. */
const follow = async (io: Io, run: RunHandle<unknown>, signal: AbortSignal): Promise<void> => {
  for await (const event of run.events({ signal })) io.err(eventLine(event))
}

/** Waits for the end of a run and prints what it gave. */
export const waitFor = async (io: Io, run: RunHandle<unknown>, flags: Pick<RunFlags, 'json'>): Promise<void> => {
  const ended = new AbortController()
  const following = io.interactive && !flags.json ? follow(io, run, ended.signal) : undefined
  try {
    const view = await run.ended({ signal: io.interrupted }).catch((error: unknown) => {
      if (!io.interrupted.aborted) throw error
      throw new Interrupted(`${run.id} goes on without you: omium executions tail ${run.id}`)
    })
    show(io, flags.json, view, () => (view.output === undefined ? view.status : JSON.stringify(view.output, null, 2)))
    if (view.status !== 'completed')
      throw new RunFailed(
        view.error ? `${run.id} failed: ${view.error.code}: ${view.error.detail}` : `${run.id} was ${view.status}`,
      )
  } finally {
    ended.abort()
    await following?.catch(() => {})
  }
}

export const addRunCommand = (program: Command, io: Io): void => {
  program
    .command('run')
    .description('start a run of an agent')
    .argument('<agent>', 'id of the agent')
    .option('-i, --input <json>', 'JSON, @file, or - for standard input')
    .option('--id <id>', 'id of the run: starting twice with one id and input gives the same run')
    .option('--wait', 'wait for the end and print the output (default)')
    .option('--detach', 'print the id and leave')
    .option('--timeout <ms>', 'limit of the whole run', wholeNumber('--timeout', 1, 366 * 86_400_000))
    .option('--priority <n>', 'larger goes first', wholeNumber('--priority', -100, 100))
    .option('--budget <micro-credits>', 'cap on model costs', wholeNumber('--budget', 0, Number.MAX_SAFE_INTEGER))
    .option('--recovery <policy>', 'when it fails, recover it by this policy; `default` is built in')
    .option('--json', 'print the run as one JSON document')
    .action(async (agent: string, flags: RunFlags) => {
      if (flags.wait && flags.detach) throw new UsageError('either --wait or --detach, not both')
      const input = flags.input === undefined ? null : await readJsonArgument(io, flags.input)
      const options: RunOptions = {
        ...(flags.timeout !== undefined && { timeoutMs: flags.timeout }),
        ...(flags.priority !== undefined && { priority: flags.priority }),
        ...(flags.budget !== undefined && { budgetMicroCredits: flags.budget }),
        ...(flags.recovery !== undefined && { recovery: { policy: flags.recovery } }),
      }
      const run = await clientOf(io).start(agent, input, { ...(flags.id !== undefined && { id: flags.id }), options })
      if (flags.detach) {
        const started = { id: run.id, position: run.position, created: run.created }
        show(io, flags.json, started, () => run.id)
        return
      }
      if (!flags.json) io.err(`${run.id}${run.created ? '' : ' (had been started before)'}`)
      await waitFor(io, run, flags)
    })
}
