import { mkdirSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { defaultHome, stackEnvironment } from '@omium/dev'
import { openCallLog, readCallLog } from '@omium/model-server'
import { OmiumError, omium, type RunHandle } from '@omium/sdk'
import { researchTeam } from './agents.ts'
import { childOf, type Kill, type SeenEvent } from './demo/account.ts'
import { hasRealModel, startScriptedModels } from './demo/models.ts'
import { summaryText, timelineTable } from './demo/print.ts'
import { startWorker, type WorkerProcess } from './demo/processes.ts'
import { summarise } from './demo/summary.ts'
import { type Watch, watchRun } from './demo/watch.ts'
import { readWorkLog } from './work-log.ts'

/**
 * The demo: a research team whose worker is killed with SIGKILL in the middle. Exits 0 when the run ended as it should and
 * no recorded step was run twice, 1 otherwise. Every number it prints was measured in this run.
 */
const { values: flags } = parseArgs({
  options: {
    question: {
      type: 'string',
      default:
        'How do leases, fencing tokens and idempotency keys together keep a crashed or paused worker from repeating work?',
    },
    /** ask the person at the terminal for the approval */
    ask: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    /** leave the workers alone */
    calm: { type: 'boolean', default: false },
    /** recorded steps, at least, before the worker is killed */
    'kill-after': { type: 'string', default: '5' },
    /** of the local model server, ms */
    latency: { type: 'string', default: '150' },
  },
})

const runTimeoutMs = 120_000
const say = (line = ''): void => {
  if (!flags.json) console.log(line)
}
const startedAt = Date.now()
const clock = (): string => `${((Date.now() - startedAt) / 1000).toFixed(2).padStart(6)} s`

const main = async (): Promise<boolean> => {
  const home = defaultHome()
  const platform = process.env['OMIUM_API_KEY'] ? {} : stackEnvironment({ home })
  const folder = join(home, 'demo', new Date(startedAt).toISOString().replace(/[:.]/g, '-'))
  mkdirSync(folder, { recursive: true })
  const files = { calls: join(folder, 'model-calls.jsonl'), work: join(folder, 'work.jsonl') }

  const given: Record<string, string | undefined> = { ...process.env, ...platform }
  let onModelCall = (): void => {}
  const modelServer = (await hasRealModel(given))
    ? undefined
    : await startScriptedModels(given, {
        latencyMs: Number(flags.latency),
        callLog: openCallLog(files.calls),
        onReceived: () => onModelCall(),
      })
  const model = modelServer?.model ?? given['OPENAI_MODEL'] ?? 'gpt-4o-mini'
  const environment: Record<string, string | undefined> = {
    ...given,
    OMIUM_HOME: home,
    OMIUM_DEMO_WORK_LOG: files.work,
    ...modelServer?.environment,
  }
  const workers: WorkerProcess[] = []
  try {
    workers.push(
      ...(await Promise.all(
        ['A', 'B'].map((name) => startWorker(name, join(folder, `worker-${name}.log`), environment)),
      )),
    )
    const { OMIUM_URL: url, OMIUM_API_KEY: apiKey } = environment
    const client = omium({ ...(url && { url }), ...(apiKey && { apiKey }) })
    say('A research team: planner, parallel researchers, critic with a retry loop, writer, and a human who approves.')
    say(`  model     ${modelServer ? `${model}, a local scripted stand-in and not a language model` : model}`)
    say(`  workers   ${workers.map((one) => `${one.name} (pid ${one.pid})`).join(', ')}`)
    say(`  question  ${flags.question}`)
    const run = await startOnceRegistered(() =>
      client.start(researchTeam, { question: flags.question, model, maxSubQuestions: 3 }),
    )
    say(`  run       ${run.id}\n`)

    let kill: (Kill & { name: string; pid: number }) | undefined
    let killing: Promise<void> | undefined
    const names = new Map([[run.id, 'team']])
    const nameOf = (executionId: string): string => names.get(executionId) ?? executionId
    /** Kills the holder when the time has come. With the local model: while a call to it is in flight. */
    const consider = (watch: Watch): void => {
      if (flags.calm || killing || (modelServer && modelServer.calls <= watch.recordedModelCalls)) return
      const victim = victimOf(watch, run.id, workers, Number(flags['kill-after']))
      if (!victim) return
      const held = [...watch.holders].filter(([, workerId]) => workerId === victim.workerId).map(([id]) => id)
      killing = victim.kill().then((at) => {
        kill = { at, workerId: victim.workerId, name: victim.name, pid: victim.pid }
        say(
          `${clock()}  SIGKILL to worker ${victim.name} (pid ${victim.pid}) after ${watch.recordedSteps} recorded steps.`,
        )
        say(`          It held ${held.map(nameOf).join(', ')}.`)
      })
    }
    const onEvent = (watch: Watch, seen: SeenEvent): void => {
      const child = childOf(seen.event)
      if (child) names.set(child.childId, child.path.replace(':', ' ').replace(/#1$/, ''))
      narrate(seen, nameOf, workers)
      consider(watch)
      if (seen.event.type === 'ApprovalRequested' && seen.executionId === run.id) void decide(run, seen)
    }
    const watch = watchRun(client, run.id, onEvent)
    onModelCall = () => consider(watch)
    const output = await run.result({ timeoutMs: runTimeoutMs })
    await Promise.race([watch.ended, delay(30_000, undefined, { ref: false })])
    await killing
    if (!flags.calm && !kill) throw new Error('the run ended before a worker could be killed: lower --kill-after')

    const summary = summarise({
      events: watch.events,
      kill,
      work: readWorkLog(files.work),
      modelLog: modelServer && readCallLog(files.calls),
    })
    const tookOver = !kill || summary.takeover?.firstStepAfterMs !== undefined
    const ok = output.status === 'published' && summary.published === 1 && summary.violations.length === 0 && tookOver
    if (flags.json) {
      const killed = kill && { at: new Date(kill.at).toISOString(), worker: kill.name, pid: kill.pid }
      console.log(
        JSON.stringify({ ok, executionId: run.id, model, killed, output, ...summary, tookMs: Date.now() - startedAt }),
      )
      return ok
    }
    say(`\n${timelineTable(summary.timeline, summary.timeline[0]?.recordedAt ?? startedAt, nameOf)}`)
    say(`\n${summaryText(summary, nameOf)}`)
    if (output.status === 'published') say(`report        ${relative(process.cwd(), resolve(output.file))}`)
    say(`accounts      ${relative(process.cwd(), folder)}`)
    say(
      ok ? '\nNo step was lost, and no recorded step was run twice.' : '\nThe run did not keep the promise; see above.',
    )
    return ok
  } finally {
    await Promise.all(workers.map((one) => one.stop()))
    await modelServer?.close()
  }
}

/** The workers announce their agents when they connect; until that is on the log and projected, a start is refused. */
const startOnceRegistered = async <T>(start: () => Promise<T>): Promise<T> => {
  const deadline = performance.now() + 60_000
  for (;;) {
    try {
      return await start()
    } catch (error) {
      const waiting = error instanceof OmiumError && error.code === 'agent_unknown' && performance.now() < deadline
      if (!waiting) throw error
      await delay(50)
    }
  }
}

/** The worker that holds the run, once research is under way in parallel and it holds some of that as well. */
const victimOf = (
  watch: Watch,
  runId: string,
  workers: readonly WorkerProcess[],
  killAfter: number,
): WorkerProcess | undefined => {
  const holder = watch.holders.get(runId)
  if (holder === undefined || watch.recordedSteps < killAfter || watch.openChildren.size < 2) return undefined
  const holdsResearch = [...watch.openChildren].some((child) => watch.holders.get(child) === holder)
  if (!holdsResearch && watch.recordedSteps < 2 * killAfter) return undefined
  return workers.find((one) => one.workerId === holder)
}

const narrate = (
  { executionId, event }: SeenEvent,
  nameOf: (executionId: string) => string,
  workers: readonly WorkerProcess[],
): void => {
  const data = event.data as Record<string, unknown>
  const worker = workers.find((one) => one.workerId === data['workerId'])?.name ?? 'another process'
  const told: Record<string, string> = {
    ExecutionStarted: `${nameOf(executionId)}: attempt ${data['attempt']} on worker ${worker}`,
    AttemptLost: `${nameOf(executionId)}: attempt ${data['attempt']} lost (${data['reason']})`,
    StepFailed: `${nameOf(executionId)}: ${data['path']} failed`,
    ExecutionCompleted: `${nameOf(executionId)}: done`,
    ExecutionFailed: `${nameOf(executionId)}: failed`,
  }
  const line = told[event.type]
  if (line) say(`${clock()}  ${line}`)
}

/** Shows the draft and decides through the API: by itself, or as the person at the terminal says. */
const decide = async (run: RunHandle<unknown>, { event }: SeenEvent): Promise<void> => {
  const { path, details } = event.data as {
    path: string
    details?: { inline?: { report?: string } } & { report?: string }
  }
  const draft = details?.inline?.report ?? details?.report ?? '(the draft is in object storage)'
  say(`\n${clock()}  The draft waits for approval:\n\n${draft.replace(/^/gm, '  | ')}\n`)
  let approved = true
  if (flags.ask) {
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    approved = /^y(es)?$/i.test((await terminal.question('Publish this report? [y/N] ')).trim())
    terminal.close()
  }
  await run.approve(
    path,
    approved ? 'approved' : 'rejected',
    flags.ask ? 'decided at the terminal' : 'decided by the demo',
  )
  say(
    `${clock()}  ${approved ? 'approved' : 'rejected'} through the API${flags.ask ? '' : ' by the demo (use --ask to decide yourself)'}\n`,
  )
}

try {
  process.exitCode = (await main()) ? 0 : 1
} catch (error) {
  console.error(error instanceof OmiumError ? `${error.code}: ${error.message}` : error)
  process.exitCode = 1
}
