import { readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { devLogs } from '../control.ts'
import { makeLayout } from '../layout.ts'
import { planPorts } from '../ports.ts'
import { type ServiceHost, startServices } from '../services.ts'
import { Supervisor } from '../supervisor.ts'
import { temporaryHome } from '../temporary-home.ts'
import { eventually } from './eventually.ts'

const fixture = (name: string): string => `dev/src/testing/fixtures/${name}.ts`

describe("the platform's services", () => {
  const homes: string[] = []
  let supervisor: Supervisor
  let home: string
  beforeEach(() => {
    supervisor = new Supervisor()
    home = temporaryHome('services')
    homes.push(home)
  })
  afterEach(() => supervisor.discard())
  afterAll(() => {
    for (const one of homes) rmSync(one, { recursive: true, force: true })
  })

  const host = async (environment: Record<string, string>, events: string[]): Promise<ServiceHost> => ({
    supervisor,
    logs: makeLayout(home).logs,
    environment,
    given: { A_KEY: 'a', B_KEY: 'b' },
    ports: (await planPorts(true)).ports,
    onReady: ({ name, restarts }) => events.push(`ready ${name} ${restarts}`),
    onDeath: ({ name }, how) => events.push(`died ${name} ${how}`),
  })

  it('start after the migrations have ended, and start again after a death', async () => {
    const events: string[] = []
    const stop = await startServices(
      [
        { name: 'first', entry: fixture('one-shot'), kind: 'once' },
        { name: 'ticking', entry: fixture('ticking-service'), kind: 'service' },
      ],
      await host({ TICK_MS: '5', EXIT_CODE: '0' }, events),
    )
    expect(events).toEqual(['ready ticking 0'])
    const [running] = supervisor.processes
    running!.kill('SIGKILL')
    await eventually(() => events.includes('ready ticking 1'))
    expect(events).toEqual(['ready ticking 0', 'died ticking signal SIGKILL', 'ready ticking 1'])
    const lines: string[] = []
    for await (const line of devLogs('ticking', { home, follow: true })) {
      lines.push(line)
      if (line === 'tick 3') break
    }
    expect(lines.length).toBeGreaterThanOrEqual(3)
    await stop()
    expect(supervisor.processes.length).toBe(0)
    expect(events.length).toBe(3)
  })

  it('get of the environment of who starts them what is their own, and nothing else', async () => {
    const given = await host({ TICK_MS: '5', A_KEY: 'shared' }, [])
    await startServices(
      [
        { name: 'own', entry: fixture('ticking-service'), kind: 'service', own: /^A_/ },
        { name: 'plain', entry: fixture('ticking-service'), kind: 'service' },
      ],
      given,
    )
    const said = async (name: string): Promise<string> =>
      eventually(() => {
        const text = readFileSync(join(given.logs, `${name}.log`), 'utf8')
        expect(text).toContain('keys')
        return text.split('\n')[0] ?? ''
      })
    expect([await said('own'), await said('plain')]).toEqual(['keys a none', 'keys shared none'])
  })

  it('do not start when the migrations fail, and the end of their log is told', async () => {
    const events: string[] = []
    const starting = startServices(
      [
        { name: 'first', entry: fixture('one-shot'), kind: 'once' },
        { name: 'ticking', entry: fixture('ticking-service'), kind: 'service' },
      ],
      await host({ TICK_MS: '5', EXIT_CODE: '7' }, events),
    )
    await expect(starting).rejects.toThrow(/first failed with code 7[\s\S]*one shot was told to exit/)
    expect(events).toEqual([])
  })

  it('count as ready only when /ready answers with success', async () => {
    const events: string[] = []
    let asked = 0
    const server: Server = createServer((_, response) => {
      asked++
      response.writeHead(asked < 3 ? 503 : 200).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = server.address() as AddressInfo
      const given = await host({ TICK_MS: '5' }, events)
      given.ports.gateway = port
      await startServices(
        [{ name: 'ticking', entry: fixture('ticking-service'), kind: 'service', readyPort: 'gateway' }],
        given,
      )
      expect(asked).toBe(3)
    } finally {
      server.close()
    }
  })
})
