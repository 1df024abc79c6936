import { type Command, Option } from 'commander'
import { nearestHome } from '../connection.ts'
import { exitCodes, RunFailed, UsageError } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { show, table } from '../output.ts'
import { loadPlatform } from '../platform.ts'
import { confirm } from '../prompts.ts'

/** What `@omium/dev` does for the CLI. */
interface Dev {
  devUp(options: {
    brokers: 1 | 3
    ephemeral: boolean
    home?: string
    report: (event: DevEvent) => void
    signal: AbortSignal
  }): Promise<{ stop(): Promise<void> }>
  devStatus(home?: string): { running: boolean; parts: { name: string; status: string; pids: number[] }[] }
  devStop(home?: string): Promise<boolean>
  devReset(home: string, confirm: (what: string) => Promise<boolean>): Promise<boolean>
  devLogs(name: string, options: { home?: string; follow: boolean; signal: AbortSignal }): AsyncIterable<string>
  logNames(home?: string): string[]
  defaultHome(): string
}
type DevEvent = { type: string } & Record<string, unknown>

interface Flags {
  home?: string
  json?: boolean
}

const load = () =>
  loadPlatform<Dev>('@omium/dev', ['devUp', 'devStatus', 'devStop', 'devReset', 'devLogs', 'logNames', 'defaultHome'])

const line = ({ type, ...rest }: DevEvent): string => {
  if (type === 'progress') return `  ${rest['message']}`
  if (type === 'up') return ['Omium is up', ...urlLines(rest['urls']), '  Ctrl-C or omium stop ends it.'].join('\n')
  return `  ${type}${rest['name'] === undefined ? '' : ` ${rest['name']}`}`
}
const urlLines = (urls: unknown): string[] =>
  Object.entries((urls ?? {}) as Record<string, string>).map(([name, url]) => `  ${name.padEnd(12)}${url}`)

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

const confirmed =
  (yes: boolean | undefined) =>
  async (what: string): Promise<boolean> => {
    return yes === true || confirm(what)
  }

export const addDevCommands = (program: Command, io: Io): void => {
  const command = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .option('--home <folder>', 'state folder (default: OMIUM_HOME or .omium)')
  const homeOf = ({ home }: Flags): { home?: string } => {
    const found = home ?? nearestHome(io)
    return found === undefined ? {} : { home: found }
  }

  command('dev', 'start the local stack and stay up')
    .addOption(new Option('--brokers <count>', 'Kafka brokers').choices(['1', '3']).default('1'))
    .option('--ephemeral', 'temporary state and free ports; nothing is left at the end')
    .option('--json', 'one JSON object per line')
    .action(async (flags: Flags & { brokers: string; ephemeral?: boolean }) => {
      const { devUp } = await load()
      const stack = await devUp({
        brokers: flags.brokers === '3' ? 3 : 1,
        ephemeral: flags.ephemeral === true,
        ...(!flags.ephemeral && homeOf(flags)),
        report: (event) => io.out(flags.json ? JSON.stringify(event) : line(event)),
        signal: io.interrupted,
      })
      await untilAborted(io.interrupted)
      await stack.stop()
    })

  command('status', 'what of the local stack runs')
    .option('--json', 'one JSON document')
    .action(async (flags: Flags) => {
      const { devStatus } = await load()
      const status = devStatus(homeOf(flags).home)
      show(io, flags.json, status, () =>
        status.parts.length === 0
          ? 'nothing runs'
          : table(
              ['part', 'status', 'pids'],
              status.parts.map((part) => [part.name, part.status, part.pids.join(' ')]),
            ),
      )
      if (!status.running) process.exitCode = exitCodes.unreachable
    })

  command('stop', 'end the local stack; its data stays')
    .option('--json', 'one JSON document')
    .action(async (flags: Flags) => {
      const { devStop } = await load()
      const wasRunning = await devStop(homeOf(flags).home)
      show(io, flags.json, { wasRunning }, () => (wasRunning ? 'stopped' : 'nothing was running'))
    })

  command('reset', 'end the local stack and delete its data, logs and credentials')
    .option('--yes', 'do not ask')
    .action(async (flags: Flags & { yes?: boolean }) => {
      if (!flags.yes && !io.interactive) throw new UsageError('this deletes data: say --yes')
      const { devReset, defaultHome } = await load()
      if (!(await devReset(homeOf(flags).home ?? defaultHome(), confirmed(flags.yes))))
        throw new RunFailed('nothing was deleted')
      io.out('deleted')
    })

  command('logs', 'print a log of the local stack; without a name, the names')
    .argument('[name]')
    .option('-f, --follow', 'go on with new lines')
    .action(async (name: string | undefined, flags: Flags & { follow?: boolean }) => {
      const { devLogs, logNames } = await load()
      const home = homeOf(flags)
      if (name === undefined) for (const known of logNames(home.home)) io.out(known)
      else {
        const follow = flags.follow === true
        for await (const text of devLogs(name, { ...home, follow, signal: io.interrupted })) io.out(text)
      }
    })
}
