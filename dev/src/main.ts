import { createInterface } from 'node:readline/promises'
import { OmiumError } from '@omium/schemas'
import { Command, Option } from 'commander'
import { devLogs, devReset, devStatus, devStop, logNames } from './control.ts'
import { runDemo } from './demo.ts'
import { defaultHome } from './layout.ts'
import { ensurePython } from './python.ts'
import { banner, eventLine } from './report.ts'
import { type DevEvent, devUp } from './up.ts'

interface UpFlags {
  brokers: '1' | '3'
  ephemeral?: boolean
  freePorts?: boolean
  services: boolean
  json?: boolean
  home?: string
}

const printer =
  (json: boolean) =>
  (event: DevEvent): void => {
    const line = json ? JSON.stringify(event) : eventLine(event)
    if (line !== undefined) console.log(line)
  }

/** Aborts at the first signal; a later one, or the end of the starter, is not needed again. */
const endSignal = (): AbortSignal => {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort())
  // the bootstrap runs this on another Node and is this process's channel: when it is gone, so is the user
  if (process.connected) process.on('disconnect', () => controller.abort())
  return controller.signal
}

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    // a pending promise keeps no process alive
    const alive = setInterval(() => {}, 60_000)
    const end = (): void => {
      clearInterval(alive)
      resolve()
    }
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })

const up = async (flags: UpFlags, demo: boolean): Promise<void> => {
  const signal = endSignal()
  const json = flags.json === true
  const print = printer(json)
  let upAfterMs = 0
  const report = (event: DevEvent): void => {
    if (event.type === 'up') upAfterMs = event.afterMs
    print(event)
  }
  try {
    await ensurePython({ progress: (message) => print({ type: 'progress', message }) })
    const stack = await devUp({
      brokers: flags.brokers === '3' ? 3 : 1,
      ephemeral: flags.ephemeral === true,
      freePorts: flags.freePorts === true,
      ...(!flags.services && { services: [] }),
      ...(flags.home !== undefined && { home: flags.home }),
      report,
      signal,
    })
    try {
      if (demo && !json) {
        const code = await runDemo(stack)
        if (code !== undefined && code !== 0 && !signal.aborted) console.error(`  the demo failed with code ${code}`)
      }
      if (!json && !signal.aborted) console.log(banner(stack, upAfterMs))
      await untilAborted(signal)
    } finally {
      await stack.stop()
    }
  } catch (error) {
    if (!signal.aborted) throw error
    // the shell's convention for an end by Ctrl-C: it never was up
    process.exitCode = 130
  }
}

const ask = async (question: string): Promise<boolean> => {
  if (!process.stdin.isTTY) {
    throw new OmiumError('invalid_request', 'reset deletes data and there is no terminal to confirm it on: say --yes')
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim())
  } finally {
    terminal.close()
  }
}

const program = new Command('omium').description('The local stack of Omium').showHelpAfterError()
const home = (): Option => new Option('--home <folder>', 'state folder (default: OMIUM_HOME or .omium)')
const json = (): Option => new Option('--json', 'one JSON object per line')
const upCommand = (name: string, description: string): Command =>
  program
    .command(name)
    .description(description)
    .addOption(new Option('--brokers <count>', 'Kafka brokers').choices(['1', '3']).default('1'))
    .option('--ephemeral', 'temporary state and free ports; nothing is left at the end')
    .option('--no-services', 'only Kafka, registry, PostgreSQL, Redis and S3: for who runs the services by hand')
    .option('--free-ports', 'none of the usual ports: for a second stack beside the first')
    .addOption(home())
    .addOption(json())

upCommand('start', 'start everything, run the demo, stay up').action((flags: UpFlags) => up(flags, true))
upCommand('dev', 'start everything, stay up').action((flags: UpFlags) => up(flags, false))

program
  .command('status')
  .description('what runs')
  .addOption(home())
  .addOption(json())
  .action((flags: { home?: string; json?: boolean }) => {
    const status = devStatus(flags.home ?? defaultHome())
    if (flags.json) console.log(JSON.stringify(status))
    else if (status.parts.length === 0) console.log(`nothing runs in ${status.home}`)
    else
      for (const { name, status: is, pids } of status.parts)
        console.log(`${is.padEnd(8)}  ${name.padEnd(18)}  ${pids.join(' ')}`)
    if (!status.running) process.exitCode = 3
  })

program
  .command('stop')
  .description('end the stack; its data stays')
  .addOption(home())
  .addOption(json())
  .action(async (flags: { home?: string; json?: boolean }) => {
    const stopped = await devStop(flags.home ?? defaultHome())
    if (flags.json) console.log(JSON.stringify({ type: 'stopped', wasRunning: stopped }))
    else console.log(stopped ? 'stopped' : 'nothing was running')
  })

program
  .command('reset')
  .description('end the stack and delete its data, logs and credentials')
  .option('--yes', 'do not ask')
  .addOption(home())
  .action(async (flags: { home?: string; yes?: boolean }) => {
    const done = await devReset(flags.home ?? defaultHome(), flags.yes ? async () => true : ask)
    console.log(done ? 'deleted' : 'nothing was deleted')
  })

program
  .command('logs')
  .description('print a log; without a name, the names')
  .argument('[name]')
  .option('-f, --follow', 'go on with new lines')
  .addOption(home())
  .action(async (name: string | undefined, flags: { home?: string; follow?: boolean }) => {
    const where = flags.home ?? defaultHome()
    if (name === undefined) {
      for (const known of logNames(where)) console.log(known)
      return
    }
    const follow = flags.follow === true
    const options = { home: where, follow, ...(follow && { signal: endSignal() }) }
    for await (const line of devLogs(name, options)) console.log(line)
  })

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof OmiumError)) throw error
  console.error(`${error.code}: ${error.message}`)
  process.exitCode = 1
} finally {
  if (process.connected) process.disconnect()
}
