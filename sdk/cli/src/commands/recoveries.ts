import {
  failureClasses,
  type IncidentDecision,
  type IncidentDetail,
  type IncidentView,
  incidentStatuses,
  type RecoveryStatisticView,
} from '@omium/schemas'
import type { IncidentFilter } from '@omium/sdk'
import { type Command, Option } from 'commander'
import { clientOf } from '../connection.ts'
import { UsageError } from '../exit-codes.ts'
import { readJsonArgument, wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { show, table } from '../output.ts'

interface Flags {
  json?: boolean
}

const duration = (ms: number | undefined): string => (ms === undefined ? '' : `${Math.round(ms)} ms`)

const incidentsTable = (items: readonly IncidentView[]): string =>
  table(
    ['id', 'status', 'class', 'strategy', 'tries', 'recovered in', 'opened', 'root cause'],
    items.map((one) => [
      one.id,
      one.status,
      one.class ?? '',
      one.plan?.strategy ?? '',
      String(one.attempts),
      duration(one.recoveredInMs),
      one.openedAt,
      one.rootCause ? `${one.rootCause.code}: ${one.rootCause.detail.split('\n')[0]}` : (one.error?.code ?? ''),
    ]),
  )

/** What an event of an incident says to people, in a line. */
const told = (data: unknown): string => {
  const { strategy, why, question, attempt, of, reason, by, detail, status, recoveredInMs } = data as Record<
    string,
    unknown
  >
  const nth = typeof attempt === 'number' && typeof of === 'number' && of < 1000 ? ` ${attempt} of ${of}` : ''
  const parts = [
    typeof strategy === 'string' ? `${strategy}${nth}` : undefined,
    typeof by === 'string' && by !== 'system' ? `by ${by}` : undefined,
    typeof status === 'string' ? status : undefined,
    typeof recoveredInMs === 'number' ? `after ${recoveredInMs} ms` : undefined,
    why ?? question ?? reason ?? detail,
  ]
  return parts.filter((part) => typeof part === 'string' && part !== '').join('; ')
}

const incidentText = (incident: IncidentDetail): string => {
  const { rootCause, plan } = incident
  const facts: [string, string | undefined][] = [
    ['id', incident.id],
    ['run', `${incident.executionId} (${incident.agent})`],
    ['status', incident.status],
    ['class', incident.class && `${incident.class} (${incident.classifiedBy})`],
    ['fingerprint', incident.fingerprint],
    ['root cause', rootCause && `${rootCause.code} in ${rootCause.executionId}: ${rootCause.detail}`],
    [
      'through',
      (incident.chain?.length ?? 0) > 1 ? incident.chain?.map((link) => link.executionId).join(' < ') : undefined,
    ],
    ['step', incident.step?.path],
    ['plan', plan && `${plan.strategy}, by ${plan.policy.name} v${plan.policy.version}`],
    ['why', incident.why],
    ['asks until', incident.until],
    ['recovered in', duration(incident.recoveredInMs)],
  ]
  const history = incident.history.map(({ time, type, data }) => [time, type, told(data)].join('  ').trimEnd())
  return [...facts.flatMap(([name, value]) => (value ? [`${name.padEnd(14)}${value}`] : [])), '', ...history].join('\n')
}

const statisticsTable = (items: readonly RecoveryStatisticView[]): string =>
  table(
    ['class', 'strategy', 'tries', 'helped', 'rate', 'p50', 'p99'],
    items.map((one) => [
      one.class,
      one.strategy,
      String(one.tries),
      String(one.successes),
      `${Math.round(one.successRate * 100)} %`,
      duration(one.recoveredInP50Ms),
      duration(one.recoveredInP99Ms),
    ]),
  )

const hoursOption = ['--hours <count>', 'of the last hours', wholeNumber('--hours', 1, 8784), 168] as const

const addReaders = (recoveries: Command, io: Io): void => {
  recoveries
    .command('ls')
    .description('list incidents, newest first')
    .addOption(new Option('--status <status>').choices(incidentStatuses))
    .addOption(new Option('--class <class>').choices(failureClasses))
    .option('--fingerprint <hash>', 'failures of one kind')
    .option('--execution <id>', 'of this run')
    .option('-n, --limit <count>', 'how many', wholeNumber('--limit', 1, 100_000), 50)
    .option('--json', 'one JSON object per line')
    .action(async ({ limit, json, ...filter }: Flags & IncidentFilter & { limit: number }) => {
      const items: IncidentView[] = []
      for await (const incident of clientOf(io).recoveries.list({ ...filter, pageSize: Math.min(200, limit) })) {
        if (json) io.out(JSON.stringify(incident))
        items.push(incident)
        if (items.length >= limit) break
      }
      if (!json) io.out(items.length === 0 ? 'no incidents' : incidentsTable(items))
    })

  recoveries
    .command('show')
    .description('an incident with every decision and its reasons')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const incident = await clientOf(io).recoveries.get(id)
      show(io, json, incident, () => incidentText(incident))
    })

  recoveries
    .command('groups')
    .description('failures that are likely to have one reason, the most frequent first')
    .option(...hoursOption)
    .option('--json', 'one JSON document')
    .action(async ({ hours, json }: Flags & { hours: number }) => {
      const groups = await clientOf(io).recoveries.groups({ hours })
      const rows = groups.map((one) => [
        one.fingerprint,
        String(one.incidents),
        String(one.open),
        String(one.runs),
        one.class,
        one.agent,
        `${one.code}: ${one.detail.split('\n')[0]}`,
      ])
      const header = ['fingerprint', 'incidents', 'open', 'runs', 'class', 'agent', 'like']
      show(io, json, groups, () => (groups.length === 0 ? 'no incidents' : table(header, rows)))
    })

  recoveries
    .command('stats')
    .description('what was tried for which failures, how often it helped, and how long that took')
    .option(...hoursOption)
    .option('--fingerprint <hash>', 'failures of one kind')
    .option('--json', 'one JSON document')
    .action(async ({ json, ...query }: Flags & { hours: number; fingerprint?: string }) => {
      const stats = await clientOf(io).recoveries.stats(query)
      show(io, json, stats, () => (stats.length === 0 ? 'nothing was tried' : statisticsTable(stats)))
    })
}

interface DecideFlags extends Flags {
  retry?: boolean
  delay?: number
  model?: string
  instructions?: string
  maxInputTokens?: number
  otherWorker?: boolean
  rollBack?: string
  settle?: string
  path?: string
  compensate?: string
  hold?: number
  giveUp?: boolean
  reason?: string
}

const actionOf = async (io: Io, flags: DecideFlags): Promise<IncidentDecision> => {
  const { retry, rollBack, settle, compensate, hold, giveUp } = flags
  const named = [retry, rollBack, settle, compensate, hold, giveUp].filter((flag) => flag !== undefined)
  if (named.length !== 1) {
    throw new UsageError('say one of --retry, --roll-back, --settle, --compensate, --hold and --give-up')
  }
  const changes = {
    ...(flags.model !== undefined && { models: { '*': flags.model } }),
    ...(flags.instructions !== undefined && { instructions: flags.instructions }),
    ...(flags.maxInputTokens !== undefined && { maxInputTokens: flags.maxInputTokens }),
  }
  const changed = Object.keys(changes).length > 0
  if ((changed || flags.delay !== undefined) && !retry && rollBack === undefined) {
    throw new UsageError('--model, --instructions, --max-input-tokens and --delay go with --retry or --roll-back')
  }
  const going = { delayMs: flags.delay ?? 0, ...(changed && { overrides: changes }) }
  if (retry) return { type: 'retry', avoidWorker: flags.otherWorker ?? false, ...going }
  if (rollBack !== undefined) return { type: 'roll_back', toPath: rollBack === 'start' ? null : rollBack, ...going }
  if (settle !== undefined) {
    const output = await readJsonArgument(io, settle)
    return { type: 'settle', output, ...(flags.path !== undefined && { path: flags.path }) }
  }
  if (compensate !== undefined) return { type: 'compensate', agentId: compensate }
  return hold === undefined ? { type: 'give_up' } : { type: 'hold', untilMs: Date.now() + hold * 3_600_000 }
}

export const addRecoveriesCommand = (program: Command, io: Io): void => {
  const recoveries = program
    .command('recoveries')
    .description('what failed, what was decided about it and why; answer where a person is asked')
  addReaders(recoveries, io)
  recoveries
    .command('decide')
    .description('answer an incident that waits for a person')
    .argument('<id>')
    .option('--retry', 'run it again from where its results end')
    .option('--delay <ms>', 'after so long', wholeNumber('--delay', 0, 604_800_000))
    .option('--model <name>', 'ask this model instead')
    .option('--instructions <text>', 'a system message with every model call')
    .option('--max-input-tokens <count>', 'leave out older messages', wholeNumber('--max-input-tokens', 1, 100_000_000))
    .option('--other-worker', 'on another worker')
    .option('--roll-back <path>', 'forget what was recorded after this step; `start`: everything')
    .option('--settle <json>', 'the failed step gets this value: JSON, @file, or -')
    .option('--path <path>', 'of the step that --settle is for, unless it is the failed one')
    .option('--compensate <agent>', 'undo its effects with this agent, then give up')
    .option('--hold <hours>', 'decide later', wholeNumber('--hold', 1, 8784))
    .option('--give-up', 'let the run fail')
    .option('-r, --reason <text>')
    .option('--json', 'one JSON document')
    .action(async (id: string, flags: DecideFlags) => {
      const action = await actionOf(io, flags)
      const receipt = await clientOf(io).recoveries.decide(id, action, flags.reason)
      show(io, flags.json, receipt, () => `${id}: ${action.type} is decided`)
    })
}
