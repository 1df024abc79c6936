import { parseArgs } from 'node:util'
import { OmiumError } from '@omium/schemas'

export const benches = [
  'engine',
  'gateway',
  'overload',
  'recovery',
  'frameworks',
  'rebuild',
  'soak',
  'models',
  'mttr',
  'matrix',
  'keys',
  'timing',
] as const
export type BenchName = (typeof benches)[number]

export interface Flags {
  readonly bench: BenchName
  /** also measure DBOS and Restate, side by side */
  readonly peers: boolean
  /** only with every append on disk before it is acknowledged; otherwise both modes are measured */
  readonly fsync: boolean
  readonly json: boolean
  /** how runs are started and awaited: over HTTP, or by commands and events on the log */
  readonly via: 'gateway' | 'log'
  /** engine: partitions of each topic */
  readonly partitions: number
  readonly concurrency: readonly number[]
  readonly warmupMs: number
  readonly measureMs: number
  /** recovery: kills of each kind */
  readonly kills: number
  /** rebuild: events in the partition */
  readonly events: number
  readonly minutes: number
  /** mttr: failures of each kind; matrix: runs of each cell; timing: rounds of each pair */
  readonly runs: number
  /** matrix: names of frameworks and classes; none is all */
  readonly only: readonly string[]
  /** matrix: what workers ask. A model that tells failures as the gateway would, or as providers do; or through the gateway */
  readonly models: 'scripted' | 'plain' | 'gateway'
}

export const usage = `npm run bench -- [${benches.join('|')}] [options]

  --peers              also measure DBOS and Restate (installs them into bench/peers)
  --fsync              only with flush.messages=1
  --json               results as one JSON document
  --via gateway|log    engine, soak: how runs are started and awaited (default gateway)
  --partitions N       engine: of each topic (default 4, as npm start has them)
  --concurrency LIST   engine: workflows at a time (default 1,50,200,1000); soak takes the first (default 50);
                       models: calls at a time (default 1,50); keys: verifications at a time (default 1,20)
  --seconds N          engine: length of a row (default 6), after --warmup-seconds (default 3)
  --kills N            recovery: kills of each kind (default 30)
  --events N           rebuild: events in the partition (default 1000000)
  --minutes N          soak: length (default 10)
  --runs N             mttr: failures of each kind (default 50); matrix: runs of each cell (default 5); timing: rounds of each
                       pair (default 300)
  --only LIST          matrix: these frameworks and these classes of failure
  --models KIND        matrix: scripted (failures told as the model gateway tells them; default), plain (in the words of
                       OpenAI, Anthropic, Azure, Gemini and Ollama, in turn), gateway (those words, through the model gateway)`

const usualRuns: Partial<Record<BenchName, string>> = { matrix: '5', timing: '300' }
const usualLevels: Partial<Record<BenchName, string>> = { soak: '50', models: '1,50', keys: '1,20' }

/** @throws OmiumError `invalid_request` for what it does not know */
export const readFlags = (args: readonly string[]): Flags => {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        peers: { type: 'boolean', default: false },
        fsync: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        via: { type: 'string', default: 'gateway' },
        partitions: { type: 'string', default: '4' },
        concurrency: { type: 'string' },
        seconds: { type: 'string', default: '6' },
        'warmup-seconds': { type: 'string', default: '3' },
        kills: { type: 'string', default: '30' },
        events: { type: 'string', default: '1000000' },
        minutes: { type: 'string', default: '10' },
        runs: { type: 'string' },
        only: { type: 'string', default: '' },
        models: { type: 'string', default: 'scripted' },
      },
    })
    const bench = benches.find((name) => name === (positionals[0] ?? 'engine'))
    if (!bench || positionals.length > 1) throw new Error(`there is no bench "${positionals.join(' ')}"`)
    if (values.via !== 'gateway' && values.via !== 'log') throw new Error('--via takes gateway or log')
    const models = (['scripted', 'plain', 'gateway'] as const).find((kind) => kind === values.models)
    if (!models) throw new Error('--models takes scripted, plain or gateway')
    const levels = values.concurrency ?? usualLevels[bench] ?? '1,50,200,1000'
    return {
      bench,
      peers: values.peers,
      fsync: values.fsync,
      json: values.json,
      via: values.via,
      partitions: positive('--partitions', values.partitions),
      concurrency: levels.split(',').map((level) => positive('--concurrency', level)),
      warmupMs: positive('--warmup-seconds', values['warmup-seconds']) * 1000,
      measureMs: positive('--seconds', values.seconds) * 1000,
      kills: positive('--kills', values.kills),
      events: positive('--events', values.events),
      minutes: positive('--minutes', values.minutes),
      runs: Math.ceil(positive('--runs', values.runs ?? usualRuns[bench] ?? '50')),
      only: values.only.split(',').filter(Boolean),
      models,
    }
  } catch (cause) {
    throw new OmiumError('invalid_request', `${cause instanceof Error ? cause.message : cause}\n\n${usage}`, { cause })
  }
}

const positive = (flag: string, text: string): number => {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`${flag} takes a positive number, not "${text}"`)
  return value
}
