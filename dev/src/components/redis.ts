import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OmiumError } from '@omium/schemas'
import { which } from '../prerequisites.mjs'
import { exchange, waitUntilReady } from '../ready.ts'
import { mavenFolder, type Progress } from '../tools.ts'
import type { Component, RunningComponent } from './component.ts'

export interface RunningRedis extends RunningComponent {
  url: string
}

const binary = async (tools: string, progress: Progress): Promise<string> => {
  const installed = which('redis-server')
  if (installed) return installed
  const folder = await mavenFolder(tools, 'redis', progress)
  const arch = process.arch === 'x64' ? 'amd64' : process.arch
  const name = readdirSync(folder).find((file) => file.endsWith(`-${process.platform}-${arch}`))
  if (!name)
    throw new OmiumError(
      'unavailable',
      `no redis-server for ${process.platform} ${arch}: install one and put it on PATH`,
    )
  const path = join(folder, name)
  chmodSync(path, 0o755)
  return path
}

/** Redis: rate limits, live fan-out, caches. Losing it loses nothing, so it writes nothing to disk. */
export const redis: Component<RunningRedis> = {
  name: 'redis',
  prepare: async ({ tools, progress }) => void (await binary(tools, progress)),
  start: async ({ layout, tools, ports, credentials, supervisor, progress }) => {
    const data = join(layout.data, 'redis')
    mkdirSync(data, { recursive: true })
    const config = join(data, 'redis.conf')
    writeFileSync(
      config,
      [
        'bind 127.0.0.1',
        'protected-mode yes',
        `port ${ports.redis}`,
        `requirepass ${credentials.redisPassword}`,
        `dir "${data}"`,
        'save ""',
        'appendonly no',
        'daemonize no',
        'maxmemory 128mb',
        'maxmemory-policy noeviction',
        '',
      ].join('\n'),
      { mode: 0o600 },
    )
    const process_ = supervisor.start({
      name: 'redis',
      command: await binary(tools, progress),
      args: [config],
      cwd: data,
      logFile: join(layout.logs, 'redis.log'),
    })
    await waitUntilReady(process_, async () => {
      const hello = `AUTH ${credentials.redisPassword}\r\nPING\r\n`
      const answer = await exchange(ports.redis, hello, (received) => received.split('\r\n').length > 2)
      if (answer !== '+OK\r\n+PONG\r\n') throw new Error(`unexpected answer from port ${ports.redis}`)
    })
    return { processes: [process_], url: `redis://:${credentials.redisPassword}@127.0.0.1:${ports.redis}` }
  },
}
