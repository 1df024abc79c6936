import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const program = fileURLToPath(new URL('../../test/worker-process.ts', import.meta.url))

it('a rejection that nobody handles fails its run, not the worker; SIGTERM drains and ends the process', async () => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    expect(JSON.parse(line.toString())).toEqual([
      {
        status: 'failed',
        error: expect.objectContaining({
          code: 'agent_threw',
          cause: expect.objectContaining({ name: 'RangeError', message: 'nobody handles this' }),
        }),
      },
      { status: 'completed', output: 'fine' },
    ])
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM'])
  } finally {
    child.kill('SIGKILL')
  }
}, 20_000)

it('ends the process when agent code never gives the event loop back, and not before', async () => {
  const stalling = fileURLToPath(new URL('../../test/stalling-process.ts', import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', stalling], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString()
  })
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    expect(line.toString()).toBe('stalling\n')
    expect(await once(child, 'close')).toEqual([null, 'SIGKILL'])
    expect(complaint).toMatch(/agent code blocked the event loop for \d+ ms/)
  } finally {
    child.kill('SIGKILL')
  }
}, 20_000)
