import type { RunningStack } from '@omium/dev'
import { eventually, foundTenant, testPlatform } from '@omium/dev/testing'
import type { IncidentDetail } from '@omium/schemas'
import { type Agent, type Client, omium, type Worker, worker } from '@omium/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  caller,
  effectsUndone,
  faultyAgents,
  faultyModel,
  grandparent,
  looper,
  payer,
  quickPolicy,
  slow,
  spender,
  stepper,
  undoer,
} from './faulty-agents.ts'

/** Every class of failure, injected into real runs on the whole platform, and what becomes of it. */
const patience = { timeoutMs: 60_000, intervalMs: 100 }

let stack: RunningStack
let client: Client
let stranger: Client
let host: Worker

beforeAll(async () => {
  stack = await testPlatform({ OMIUM_LOG_LEVEL: 'warn' })
  const url = stack.environment['OMIUM_URL'] as string
  const otherKey = await foundTenant(stack.environment, 'ten_other')
  client = omium({ url, apiKey: stack.apiKey })
  stranger = omium({ url, apiKey: otherKey })
  host = worker({
    url,
    apiKey: stack.apiKey,
    agents: faultyAgents,
    llm: { complete: faultyModel },
    signals: false,
    logger: pino({ level: 'silent' }),
  })
  await host.start()
  await eventually(async () => {
    const known = (await client.agents()).map(({ agent }) => agent)
    expect(known).toEqual(expect.arrayContaining(faultyAgents.map(({ id }) => id)))
  }, patience)
  await client.recoveryPolicies.publish('quick', quickPolicy)
  // longer than a busy machine takes to do anything for a run
  await client.recoveryPolicies.publish('impatient', { ...quickPolicy, stalls: { afterMs: 5000 } })
})

afterAll(async () => {
  await host?.stop()
  await stack?.stop()
})

const start = (agent: Agent<{ fault: string }, unknown>, fault: string, policy = 'quick') =>
  client.start(agent, { fault }, { options: { recovery: { policy } } })

/** The only incident of a run, once it is as wanted. */
const incidentOf = async (run: string, fits: (incident: IncidentDetail) => boolean): Promise<IncidentDetail> => {
  let found: IncidentDetail | undefined
  await eventually(async () => {
    found = await client.recoveries.get(`${run}.1`)
    expect([found.status, fits(found)]).toEqual([found.status, true])
  }, patience)
  return found as IncidentDetail
}
const closed = ({ closedAt }: IncidentDetail): boolean => closedAt !== undefined
const strategies = ({ history }: IncidentDetail): string[] =>
  history.flatMap(({ type, data }) => (type === 'RecoveryPlanned' ? [(data as { strategy: string }).strategy] : []))

describe('a run recovers', () => {
  it.each<[string, Agent<{ fault: string }, unknown>, string, string, string[], unknown]>([
    [
      'from an overloaded provider by waiting',
      caller,
      'overloaded_twice',
      'transient_provider',
      ['retry', 'retry'],
      'fine',
    ],
    ['from a rate limit, as late as the provider says', caller, 'rate_limited', 'rate_limit', ['retry'], 'fine'],
    [
      'from a model that is down with another one',
      caller,
      'model_a_down',
      'transient_provider',
      ['retry', 'retry', 'other_model'],
      'from b',
    ],
    [
      'from a context that is too long',
      caller,
      'too_long',
      'context_length',
      ['smaller_context', 'smaller_context'],
      'short',
    ],
    ['from an answer that cannot be read', caller, 'malformed', 'bad_model_output', ['repair_prompt'], 'well formed'],
    ['from a tool that fails', stepper, 'closed_twice', 'tool_error', ['retry', 'retry'], { seed: 0, result: 2 }],
    [
      'from a bad earlier result by going back',
      stepper,
      'needs_roll_back',
      'tool_error',
      ['retry', 'retry', 'roll_back'],
      { seed: 1, result: 3 },
    ],
    [
      'from a step that will never work with its default',
      stepper,
      'always_closed',
      'tool_error',
      ['retry', 'retry', 'roll_back', 'skip_with_default'],
      { seed: 1, result: 'closed' },
    ],
    ['from a time-out', slow, 'x', 'timeout', ['retry'], 'quick'],
    ['from standing still', stepper, 'hangs_once', 'stall', ['reassign'], { seed: 0, result: 1 }],
    ['from going round in circles', looper, 'circles', 'loop', ['roll_back'], 'out of the circle'],
    ['from the failure of a grandchild', grandparent, 'x', 'transient_provider', ['retry'], 'grown up'],
  ])('%s', async (_, agent, fault, failureClass, expected, output) => {
    const run = await start(agent, fault, fault === 'hangs_once' ? 'impatient' : 'quick')
    expect(await run.result({ timeoutMs: 60_000 })).toEqual(output)
    const incident = await incidentOf(run.id, closed)
    expect(incident).toMatchObject({ status: 'succeeded', class: failureClass, executionId: run.id })
    expect(strategies(incident)).toEqual(expected)
    expect(incident.recoveredInMs).toBeGreaterThan(0)
    if (fault === 'rate_limited') expect(incident.recoveredInMs).toBeGreaterThanOrEqual(400)
    if (agent === grandparent) {
      expect(incident.chain?.map(({ code }) => code)).toEqual(['child_failed', 'child_failed', 'model_overloaded'])
      expect(incident.rootCause).toMatchObject({ code: 'model_overloaded', detail: 'the kid has no model' })
    }
  })
})

describe('a person', () => {
  it('is asked about a bug, sees why, and lets the run go on after the repair', async () => {
    const run = await start(stepper, 'bug')
    const incident = await incidentOf(run.id, ({ status }) => status === 'escalated')
    expect(incident).toMatchObject({
      class: 'code_bug',
      classifiedBy: 'error class TypeError',
      plan: { strategy: 'ask_person' },
    })
    expect((await run.get()).status).toBe('recovering')
    await expect(stranger.recoveries.get(incident.id)).rejects.toMatchObject({ code: 'incident_unknown' })
    await expect(stranger.recoveries.decide(incident.id, { type: 'give_up' })).rejects.toMatchObject({
      code: 'incident_unknown',
    })
    const receipt = await client.recoveries.decide(incident.id, { type: 'retry' }, 'try once more')
    expect((await client.recoveries.get(incident.id, { minPosition: receipt.position })).attempts).toBeGreaterThan(1)
    // it is the same code: the bug is still there
    const again = await incidentOf(run.id, ({ status, attempts }) => status === 'escalated' && attempts === 3)
    await client.recoveries.decide(again.id, { type: 'give_up' }, 'hopeless')
    expect((await run.ended({ timeoutMs: 30_000 })).error).toMatchObject({ cause: { name: 'TypeError' } })
    const end = await incidentOf(run.id, closed)
    expect(end).toMatchObject({ status: 'given_up' })
    expect(end.history.map(({ type }) => type)).toContain('DecidedByPerson')
    await expect(client.recoveries.decide(end.id, { type: 'give_up' })).rejects.toMatchObject({
      code: 'incident_not_undecided',
    })
  })

  it('gives the failed step a value', async () => {
    const run = await start(caller, 'filtered')
    const incident = await incidentOf(run.id, ({ status }) => status === 'escalated')
    expect(incident.class).toBe('policy')
    const output = {
      message: { role: 'assistant', content: 'by hand' },
      content: 'by hand',
      finishReason: 'stop',
      usage: {},
    }
    await client.recoveries.decide(incident.id, { type: 'settle', output })
    expect(await run.result({ timeoutMs: 30_000 })).toBe('by hand')
    await incidentOf(run.id, ({ status }) => status === 'succeeded')
  })

  it('who asks for what the run refuses is asked again', async () => {
    const run = await start(caller, 'filtered')
    const { id } = await incidentOf(run.id, ({ status }) => status === 'escalated')
    await expect(client.recoveries.decide(id, { type: 'hold', untilMs: 1 })).rejects.toMatchObject({
      code: 'invalid_request',
    })
    await client.recoveries.decide(id, { type: 'roll_back', toPath: 'nowhere#1' })
    const again = await incidentOf(run.id, ({ status, attempts }) => status === 'escalated' && attempts === 3)
    expect(again.why).toContain('the run refused')
    await run.cancel()
  })

  it('cancels, and nothing is left to recover', async () => {
    const run = await start(caller, 'filtered')
    await incidentOf(run.id, ({ status }) => status === 'escalated')
    await run.cancel()
    expect(await incidentOf(run.id, closed)).toMatchObject({ status: 'dismissed' })
  })
})

it('undoes effects before it gives up', async () => {
  const run = await start(payer, 'x')
  expect((await run.ended({ timeoutMs: 60_000 })).status).toBe('failed')
  const incident = await incidentOf(run.id, closed)
  expect(incident.history.map(({ type }) => type)).toEqual(
    expect.arrayContaining(['CompensationStarted', 'CompensationFinished', 'GivenUp']),
  )
  expect(effectsUndone).toMatchObject([
    { path: 'pay#1', input: { inline: { amount: 7 } }, output: { inline: { paid: true } } },
  ])
})

it('undoes all effects, however many, the latest first', async () => {
  effectsUndone.length = 0
  const run = await start(spender, 'x')
  expect((await run.ended({ timeoutMs: 60_000 })).status).toBe('failed')
  const incident = await incidentOf(run.id, closed)
  const pages = incident.history.flatMap(({ type, data }) =>
    type === 'CompensationStarted' ? [(data as { effects: number }).effects] : [],
  )
  expect(pages).toEqual([100, 5])
  const outputs = (effectsUndone as { output: { inline: number } }[]).map(({ output }) => output.inline)
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
  expect(outputs).toEqual([...range(6, 105), ...range(1, 5)])
})

it('asks a person when no worker runs the agent that undoes', async () => {
  const undo = { strategy: 'compensate', agent: 'faulty-nobody', timeoutMs: 1_000 }
  await client.recoveryPolicies.publish('unmanned', { rules: [{ try: [undo] }] })
  const run = await start(payer, 'x', 'unmanned')
  const incident = await incidentOf(run.id, ({ status }) => status === 'escalated')
  expect(incident.why).toMatch(/no worker took it up, is there one that runs agent faulty-nobody\?/)
  expect(incident.why).toContain('some effects may still stand')
  await client.recoveries.decide(incident.id, { type: 'compensate', agentId: undoer.id })
  expect((await run.ended({ timeoutMs: 30_000 })).status).toBe('failed')
})

it('leaves runs alone that do not ask for it', async () => {
  const run = await client.start(caller, { fault: 'filtered' })
  expect((await run.ended({ timeoutMs: 30_000 })).error?.code).toBe('model_content_filter')
  await expect(client.recoveries.get(`${run.id}.1`)).rejects.toMatchObject({ code: 'incident_unknown' })
})

it('says what has failed alike, and what has helped', async () => {
  const groups = await client.recoveries.groups()
  const overloaded = groups.find(({ detail }) => detail.includes('is overloaded'))
  expect(overloaded).toMatchObject({ class: 'transient_provider', code: 'model_overloaded', recovered: 1 })
  expect(groups.find(({ class: one }) => one === 'policy')).toMatchObject({ incidents: 3, runs: 3 })
  const stats = await client.recoveries.stats()
  const retries = stats.find(({ class: one, strategy }) => one === 'tool_error' && strategy === 'retry')
  expect(retries?.tries).toBeGreaterThan(retries?.successes ?? Number.NaN)
  expect(stats.find(({ strategy }) => strategy === 'other_model')).toMatchObject({ successes: 1, successRate: 1 })
  const listed: string[] = []
  for await (const { id } of client.recoveries.list({ class: 'tool_error', pageSize: 1 })) listed.push(id)
  expect(new Set(listed).size).toBe(6)
  for await (const _ of stranger.recoveries.list()) throw new Error('another tenant sees incidents')
  expect(await stranger.recoveries.stats()).toEqual([])
})

it('keeps versions of policies, and refuses bad ones with every place named', async () => {
  const { recoveryPolicies: policies } = client
  await expect(policies.publish('mine', { rules: [{ try: [] }], x: 1 })).rejects.toThrow(
    /policy\/rules\/0\/try.*policy\/x/,
  )
  expect(await policies.validate({ rules: [{ try: [{ strategy: 'other_model' }] }] })).toMatchObject({
    valid: true,
    warnings: [{ path: '/rules/0/try/0' }],
  })
  await policies.publish('mine', { models: ['a'] }, { expectedVersion: 0, note: 'first' })
  await expect(policies.publish('mine', { models: ['b'] }, { expectedVersion: 0 })).rejects.toMatchObject({
    code: 'policy_conflict',
  })
  await policies.publish('mine', { models: ['b'] })
  expect((await policies.versions('mine')).map(({ version, inForce, note }) => [version, inForce, note])).toEqual([
    [2, true, undefined],
    [1, false, 'first'],
  ])
  await policies.retire('mine')
  expect((await policies.versions('mine')).map(({ inForce }) => inForce)).toEqual([false, false])
  await expect(stranger.recoveryPolicies.versions('mine')).rejects.toMatchObject({ code: 'not_found' })
  expect((await stranger.recoveryPolicies.list()).map(({ name, version }) => [name, version])).toEqual([['default', 0]])
})

/** Plans that the running orchestrator has made since its start; none while it cannot be asked. */
const plansMade = async (): Promise<number> => {
  const url = `http://127.0.0.1:${stack.environment['OMIUM_RECOVERY_PORT']}/metrics`
  const text = await fetch(url).then(
    (response) => response.text(),
    () => '',
  )
  const counts = [...text.matchAll(/^omium_recoveries_planned_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count))
  return counts.reduce((sum, count) => sum + count, 0)
}

it('decides each failure once, however often it is killed', async () => {
  const runs = await Promise.all(
    Array.from({ length: 24 }, (_, i) => start(stepper, i % 2 === 0 ? 'closed_twice' : 'needs_roll_back')),
  )
  const orchestrator = () => stack.state.services.find(({ name }) => name === 'recovery-orchestrator')
  let ended = false
  const done = Promise.all(runs.map((run) => run.result({ timeoutMs: 120_000 }))).finally(() => {
    ended = true
  })
  const kill = () => {
    const pid = orchestrator()?.process.pid as number
    process.kill(pid, 'SIGKILL')
    return pid
  }
  // when the first runs have failed, and again when the next one is in the middle of its plans
  const first = kill()
  const killingAgain = (async () => {
    while (!ended) {
      if (orchestrator()?.process.pid !== first && (await plansMade()) > 0) return kill()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return undefined
  })()
  await done
  expect(await killingAgain).not.toBe(first)
  for (const run of runs) {
    const incident = await incidentOf(run.id, closed)
    expect(incident.status).toBe('succeeded')
    const awaited = incident.history.flatMap(({ type, data }) =>
      type === 'RecoveryPlanned' ? [(data as { awaiting: number }).awaiting] : [],
    )
    expect(awaited).toEqual([...new Set(awaited)])
    const recovered: number[] = []
    for await (const event of run.events()) {
      if (event.type === 'ExecutionRecovered') recovered.push((event.data as { incident: number }).incident)
    }
    expect(recovered).toEqual(awaited)
  }
}, 180_000)
