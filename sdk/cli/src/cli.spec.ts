import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Asked, type Invocation, scriptedGateway } from './testing.ts'

const view = (id: string, more: object = {}) => ({
  id,
  agent: 'researcher',
  status: 'completed',
  output: { text: 'done' },
  attempt: 2,
  stepsCompleted: 3,
  costMicroCredits: 1500,
  inputTokens: 10,
  outputTokens: 5,
  options: {},
  createdAt: '2026-01-01T00:00:00.000Z',
  version: 9,
  position: '0:9',
  ...more,
})

describe('omium', () => {
  let folder: string
  const { answers, asked, lines, url, run } = scriptedGateway()
  /** from a folder of a project, which says where the gateway is */
  const omium = (argv: string[], more: Invocation = {}) => run(argv, { env: {}, cwd: folder, ...more })

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'omium-cli-'))
    mkdirSync(join(folder, '.omium/run'), { recursive: true })
    mkdirSync(join(folder, 'deep/er'), { recursive: true })
    writeFileSync(join(folder, '.omium/credentials.json'), JSON.stringify({ apiKey: 'om_test_local' }))
    writeFileSync(join(folder, '.omium/run/state.json'), JSON.stringify({ urls: { gateway: url(), models: url() } }))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const receiptOf = ({ body }: Asked) => ({
    executionId: (body as { id?: string } | undefined)?.id ?? 'run',
    position: '0:1',
    deduplicated: false,
  })

  describe('checkpoints', () => {
    const one = (id: string, more: object = {}) => ({
      thread: 'run',
      id,
      namespace: '',
      needsParent: false,
      kind: 'state',
      status: 'intact',
      format: 'json',
      bytes: 7,
      sha256: 'a'.repeat(64),
      metadata: {},
      pins: [],
      createdAt: '2026-01-01T00:00:00.000Z',
      version: 1,
      position: '0:1',
      ...more,
    })
    it('are listed and shown with their state', async () => {
      answers['GET /v1/checkpoints'] = () => ({ items: [one('c2', { label: 'draft' }), one('c1')] })
      answers['GET /v1/checkpoints/run/latest'] = () =>
        one('c1', { state: { json: { n: 1 } }, writes: [], insteadOf: 'c2' })
      expect(await omium(['checkpoints', 'ls', 'run'])).toBe(0)
      expect(lines.out.join('\n')).toMatch(/c2 .*intact .*draft/)
      expect(await omium(['checkpoints', 'show', 'run'])).toBe(0)
      expect(lines.out.join('\n')).toMatch(/instead of\s+c2[\s\S]*"n": 1/)
    })
    it('are verified all at once, and a damaged one shows in the exit code', async () => {
      answers['GET /v1/checkpoints'] = () => ({ items: [one('c2'), one('c1')] })
      answers['POST /v1/checkpoints/run/c1/verify'] = () => ({ intact: true, rebuilt: false })
      answers['POST /v1/checkpoints/run/c2/verify'] = () => ({ intact: false, found: 'missing', rebuilt: true })
      expect(await omium(['checkpoints', 'verify', 'run'])).toBe(0)
      expect(lines.out).toEqual(['c2  was missing, made again from the log', 'c1  intact'])
      answers['POST /v1/checkpoints/run/c2/verify'] = () => ({ intact: false, found: 'damaged', rebuilt: false })
      expect(await omium(['checkpoints', 'verify', 'run'])).toBe(1)
    })
    it('are gone back to', async () => {
      answers['POST /v1/checkpoints/run/c1/rollback'] = () => ({
        thread: 'run',
        checkpoint: 'c1',
        position: '0:5',
        execution: 'run',
      })
      expect(await omium(['checkpoints', 'rollback', 'run', 'c1', '--reason', 'wrong turn'])).toBe(0)
      expect([lines.out, asked[0]?.body]).toEqual([['run is back at c1'], { reason: 'wrong turn' }])
      expect(await omium(['checkpoints', 'rollback', 'run', 'latest'])).toBe(2)
    })
  })

  it('runs an agent with the nearest project and prints its output', async () => {
    answers['POST /v1/executions'] = receiptOf
    answers['GET /v1/executions/mine/result'] = () => view('mine')
    const code = await omium(['run', 'researcher', '--input', '{"topic":"logs"}', '--id', 'mine'], {
      cwd: join(folder, 'deep/er'),
    })
    expect([code, lines.out.join('\n')]).toEqual([0, JSON.stringify({ text: 'done' }, null, 2)])
    expect(asked[0]).toEqual({
      request: 'POST /v1/executions',
      body: { agent: 'researcher', input: { topic: 'logs' }, id: 'mine', options: {} },
      authorization: 'Bearer om_test_local',
    })
  })

  it('ends with 1 when the run failed, and says why', async () => {
    answers['POST /v1/executions'] = receiptOf
    const error = { code: 'agent_threw', detail: 'it threw', retryable: false }
    answers['GET /v1/executions/bad/result'] = () => view('bad', { status: 'failed', output: undefined, error })
    expect(await omium(['run', 'researcher', '--id', 'bad', '--json'])).toBe(1)
    expect(JSON.parse(lines.out[0] ?? '')).toMatchObject({ id: 'bad', status: 'failed', error })
    expect(lines.err).toEqual(['bad failed: agent_threw: it threw'])
  })

  it('reads input from a file and from standard input, and detaches', async () => {
    answers['POST /v1/executions'] = receiptOf
    writeFileSync(join(folder, 'input.json'), '[1]')
    expect(await omium(['run', 'a', '--input', '@input.json', '--detach', '--id', 'x'])).toBe(0)
    expect(lines.out).toEqual(['x'])
    expect(await omium(['run', 'a', '--input', '-', '--detach', '--id', 'y', '--json'], { stdin: '[2]' })).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual({ id: 'y', position: '0:1', created: true })
    expect(asked.map(({ body }) => (body as { input: unknown }).input)).toEqual([[1], [2]])
  })

  it('lists as a table and as JSON lines', async () => {
    answers['GET /v1/executions'] = () => ({ items: [view('one'), view('two')] })
    expect(await omium(['executions', 'ls'])).toBe(0)
    expect(lines.out.join('\n').split('\n')).toEqual([
      'ID   AGENT       STATUS     ATTEMPT  STEPS  COST     CREATED',
      'one  researcher  completed  2        3      $0.0015  2026-01-01T00:00:00.000Z',
      'two  researcher  completed  2        3      $0.0015  2026-01-01T00:00:00.000Z',
    ])
    expect(await omium(['executions', 'ls', '--json', '-n', '1'])).toBe(0)
    expect(lines.out.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual(['one'])
  })

  it('lists models, who answers for them, and what they cost', async () => {
    const price = { input: 0.15, output: 0.6, version: 'v' }
    const targets = [{ provider: 'openai', model: 'gpt-4o-mini' }, { provider: 'spare' }]
    answers['GET /v1/models'] = () => ({
      data: [
        { id: 'small', omium: { targets, scripted: false, price } },
        { id: '*', omium: { targets: [{ provider: 'local', model: 'stand-in' }], scripted: true } },
      ],
    })
    expect(await omium(['models', 'ls'])).toBe(0)
    expect(lines.out.join('\n').split('\n')).toEqual([
      'MODEL  ANSWERED BY                     INPUT  OUTPUT',
      'small  openai/gpt-4o-mini, then spare  $0.15  $0.6',
      '*      local/stand-in (scripted)',
    ])
    expect(asked.at(-1)?.authorization).toBe('Bearer om_test_local')
    expect(await omium(['models', 'ls'], { env: { OMIUM_MODELS_URL: 'http://127.0.0.1:1' } })).not.toBe(0)
    expect(lines.err[0]).toMatch(/^unavailable: /)
  })

  it('tails events until the end', async () => {
    const event = (version: number, type: string, data: object = {}) => ({
      id: `evt_${version}`,
      type,
      version,
      time: '2026-01-01T00:00:00.000Z',
      actor: 'engine',
      position: `0:${version}`,
      data,
    })
    answers['GET /v1/executions/run/events'] = () => [
      event(1, 'StepCompleted', { path: 'plan#1', durationMs: 12.4 }),
      event(2, 'ExecutionCompleted'),
    ]
    expect(await omium(['executions', 'tail', 'run'])).toBe(0)
    expect(lines.out).toEqual([
      '2026-01-01T00:00:00.000Z  StepCompleted         plan#1  12 ms',
      '2026-01-01T00:00:00.000Z  ExecutionCompleted',
    ])
  })

  it('approves the only approval that waits', async () => {
    answers['GET /v1/executions/run/steps'] = () => ({
      items: [
        { path: 'plan#1', name: 'plan', kind: 'step', status: 'completed', executionAttempt: 1, stepAttempt: 1 },
        { path: 'approve#1', name: 'Ship?', kind: 'approval', status: 'pending', executionAttempt: 1, stepAttempt: 1 },
      ],
    })
    answers['POST /v1/executions/run/approvals'] = receiptOf
    expect(await omium(['executions', 'approve', 'run', '--comment', 'go'])).toBe(0)
    expect(asked.at(-1)?.body).toEqual({ path: 'approve#1', decision: 'approved', comment: 'go' })
    expect(lines.out).toEqual(['approve#1 of run is approved'])
  })

  it('resolves an unknown outcome in one way only', async () => {
    answers['POST /v1/executions/run/resolve'] = receiptOf
    expect(await omium(['executions', 'resolve', 'run', 'pay#1', '--retry', '--failed', 'no'])).toBe(2)
    expect(await omium(['executions', 'resolve', 'run', 'pay#1', '--completed', '{"paid":true}'])).toBe(0)
    expect(asked.at(-1)?.body).toEqual({ path: 'pay#1', resolution: { status: 'completed', output: { paid: true } } })
  })

  it.each([
    [['run'], 2, "missing required argument 'agent'"],
    [['nonsense'], 2, 'unknown command'],
    [['run', 'a', '--input', '{'], 2, 'invalid_json'],
    [['run', 'a', '--wait', '--detach'], 2, 'not both'],
    [['executions', 'ls', '--status', 'odd'], 2, 'Allowed choices'],
    [['executions', 'show', 'none'], 4, 'execution_unknown: no such thing'],
    [['reset'], 2, 'say --yes'],
  ])('%j ends with %i', async (argv, code, said) => {
    expect([await omium(argv), lines.err.join('\n')]).toEqual([code, expect.stringContaining(said)])
  })

  it('ends with 3 when nothing answers, and with 2 without a key', async () => {
    expect(await omium(['executions', 'pause', 'x'], { env: { OMIUM_URL: 'http://127.0.0.1:1' } })).toBe(3)
    expect(await omium(['agents', 'ls'], { env: { OMIUM_HOME: join(folder, 'nowhere') } })).toBe(2)
    expect(lines.err[0]).toMatch(/settings_invalid: no API key/)
  })

  it('prints help and version', async () => {
    expect(await omium(['--help'])).toBe(0)
    expect(lines.out.join('\n')).toContain('executions')
    expect(await omium(['--version'])).toBe(0)
    expect(lines.out).toEqual(['0.1.0'])
  })
})
