import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import { devStatus } from '../control.ts'
import { markVariable } from '../guardian.ts'
import { root } from '../layout.ts'
import { identify, isRunning, type ProcessIdentity } from '../process-identity.ts'
import { processesOf } from '../state.ts'
import { temporaryHome } from '../temporary-home.ts'
import type { DevEvent } from '../up.ts'
import { eventually } from './eventually.ts'

interface Started {
  child: ChildProcess
  home: string
  events: DevEvent[]
  up: Extract<DevEvent, { type: 'up' }>
}

const homes: string[] = []
const children: ChildProcess[] = []

const omium = (...args: string[]): ChildProcess => {
  const child = spawn(process.execPath, ['dev/src/main.ts', ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      OMIUM_TOOLS_DIR: process.env['OMIUM_TOOLS_DIR'] ?? '',
    },
  })
  children.push(child)
  return child
}

const start = async (...flags: string[]): Promise<Started> => {
  const given = flags.indexOf('--home')
  const home = flags[given + 1] && given >= 0 ? flags[given + 1]! : temporaryHome('lifecycle')
  homes.push(home)
  const child = omium('dev', '--json', '--free-ports', '--no-services', '--home', home, ...flags)
  const events: DevEvent[] = []
  if (!child.stdout) throw new Error('no stdout')
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line) as DevEvent
    events.push(event)
    if (event.type === 'up') {
      // later lines must go on flowing
      child.stdout.resume()
      return { child, home, events, up: event }
    }
  }
  throw new Error(`ended without being up: ${JSON.stringify(events)}`)
}

const ended = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.once('exit', resolve))

/** Every process that carries the mark of the stack, whoever its parent is. */
const markedProcesses = (stackId: string): ProcessIdentity[] =>
  readdirSync('/proc').flatMap((name) => {
    try {
      const marked = readFileSync(`/proc/${Number(name)}/environ`, 'latin1').includes(`${markVariable}=${stackId}`)
      const identity = marked ? identify(Number(name)) : undefined
      return identity ? [identity] : []
    } catch {
      return []
    }
  })

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const home of homes.splice(0)) {
    const state = devStatus(home).state
    if (state) await eventually(() => !processesOf(state).some(isRunning), { timeoutMs: 30_000 })
    rmSync(home, { recursive: true, force: true })
  }
})

// every start is that of a whole stack: on a busy machine it takes its time
describe('a local stack', { timeout: 300_000 }, () => {
  it('tells no secret, keeps its data over a restart, and leaves no process behind, ended or killed', async () => {
    const closed = mkdtempSync(join(tmpdir(), 'omium-closed-'))
    homes.push(closed)
    // in a folder that is closed to other users
    const first = await start('--home', join(closed, 'home'))
    const { home } = first
    const secrets = Object.values(
      JSON.parse(readFileSync(join(home, 'credentials.json'), 'utf8')) as Record<string, string>,
    )
    expect(secrets).toContain(first.up.apiKey)
    const processes = processesOf(devStatus(home).state!)
    expect(processes.length).toBe(5)
    expect(processes.every(isRunning)).toBe(true)
    const texts = [
      readFileSync(join(home, 'run/state.json'), 'utf8'),
      ...readdirSync(join(home, 'logs')).map((name) => readFileSync(join(home, 'logs', name), 'utf8')),
      ...processes.map(({ pid }) => readFileSync(`/proc/${pid}/cmdline`, 'latin1')),
    ]
    for (const text of texts) for (const secret of secrets) expect(text).not.toContain(secret)

    const registered = await fetch(`${first.up.urls['registry']}/subjects/lifecycle-value/versions`, {
      method: 'POST',
      headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
      body: JSON.stringify({ schemaType: 'JSON', schema: '{"type":"object","properties":{}}' }),
    })
    expect(registered.status).toBe(200)
    const { id } = (await registered.json()) as { id: number }
    const gone = ended(first.child)
    const stop = omium('stop', '--home', home)
    await Promise.all([gone, ended(stop)])
    expect(stop.exitCode).toBe(0)
    expect(first.child.exitCode).toBe(0)
    expect(processes.some(isRunning)).toBe(false)

    const second = await start('--home', home)
    expect(second.up.apiKey).toBe(first.up.apiKey)
    const read = await fetch(`${second.up.urls['registry']}/schemas/ids/${id}`)
    expect(read.status).toBe(200)
    const refused = omium('dev', '--json', '--free-ports', '--home', home)
    await ended(refused)
    expect(refused.exitCode).toBe(1)

    const state = devStatus(home).state!
    const orphans = processesOf(state)
    // PostgreSQL and Redis write their status over their environment; the JVMs and the S3 server keep the mark
    expect(markedProcesses(state.stackId).length).toBeGreaterThanOrEqual(3)
    second.child.kill('SIGKILL')
    await eventually(() => !orphans.some(isRunning), { timeoutMs: 30_000 })
    await eventually(() => markedProcesses(state.stackId).length === 0, { timeoutMs: 10_000 })
    // PostgreSQL was asked, not killed: it removes its pid file only at a clean end
    expect(existsSync(join(home, 'data/postgres/postmaster.pid'))).toBe(false)
    expect(devStatus(home).running).toBe(false)
  })

  it('removes everything that was ephemeral, whatever it is killed with', async () => {
    const { child, up } = await start('--ephemeral')
    const folder = join(up.data, '..')
    expect(existsSync(folder)).toBe(true)
    child.kill('SIGKILL')
    await eventually(() => !existsSync(folder), { timeoutMs: 30_000 })
  })
})
