import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { ensurePython } from '@omium/dev'
import { eventually, type ServiceHandle, spawnService, tenantOfPlatform } from '@omium/dev/testing'
import { omium } from '@omium/sdk'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { recordedTwice } from './stage.ts'

/**
 * "Make your existing ... durable in five minutes", as it stands there: the guide's program, its commands, its kill -9. Only the
 * 15 seconds that its tool takes are for people: here it takes until it is told to go on.
 */
const root = join(import.meta.dirname, '../../..')
const pause = 'time.sleep(15)'
const untilTold = 'while not __import__("os").path.exists("go"): open("begun", "w").close(); time.sleep(0.05)'

const read = (framework: string) => {
  const text = readFileSync(join(root, `docs/guides/durable-${framework}.md`), 'utf8')
  const program = /^`trip\.py`[\s\S]*?```python\n([\s\S]*?)```/m.exec(text)?.[1] ?? ''
  const blocks = [...text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/(?:^ {4}.*\n)+/gm)].map(([block]) =>
    block.replaceAll(/^ {4}/gm, '').trim(),
  )
  const blockWith = (words: string) =>
    blocks.find((block) => block.includes(words)) ?? `false # the guide has no ${words}`
  return {
    program,
    worker: blockWith('omium worker'),
    start: blockWith('.result()'),
    journal: blockWith('.steps()'),
    printed: blockWith('  completed  ').split('\n'),
  }
}

let home: string
let bin: string
const processes: ServiceHandle[] = []

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'omium-guides-'))
  bin = dirname((await ensurePython({ progress: () => undefined })).python)
})
afterAll(async () => {
  await Promise.all(processes.map((one) => one.kill()))
  rmSync(home, { recursive: true, force: true })
})

/** A step as it is printed, whatever the hash of its request and its tokens are. */
const shapeOf = (line: string) => line.replace(/:[0-9a-f]{4}\S*#/, '#').replace(/ \d+$/, ' n')

it.concurrent.each(['langgraph', 'crewai', 'autogen', 'semantic-kernel'])(
  'the guide for %s does what it says, in its words',
  async (framework) => {
    const { program, worker, start, journal, printed } = read(framework)
    const folder = mkdtempSync(join(home, `${framework}-`))
    expect(program).toContain(pause)
    writeFileSync(join(folder, 'trip.py'), program.replace(pause, untilTold))
    const platform = await tenantOfPlatform()
    const environment = {
      ...platform.environment,
      OPENAI_API_KEY: platform.apiKey,
      PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`,
    }
    const type = async (command: string, readyLine?: RegExp) => {
      const script = `cd '${folder}'\n${readyLine ? 'exec ' : ''}${command}`
      const options = { command: 'bash', args: ['-euc', script], readyTimeoutMs: 240_000 }
      const handle = await spawnService(command, environment, { ...options, ...(readyLine && { readyLine }) })
      processes.push(handle)
      return handle
    }
    const ends = async (handle: ServiceHandle) => {
      expect([(await handle.exited).code, handle.output()]).toEqual([0, handle.output()])
      return handle.output()
    }

    const first = await type(worker, /omium\.worker ready/)
    const [, id = ''] = /id='([^']+)'/.exec(start) ?? []
    const client = omium(platform)
    // a worker announces its agents when it connects; until that is projected a start is refused
    await eventually(async () => expect((await client.agents()).map(({ agent }) => agent)).toContain('trip'), {
      timeoutMs: 60_000,
    })
    const waiting = await type(start)
    await eventually(() => existsSync(join(folder, 'begun')), { timeoutMs: 240_000 })
    await first.kill('SIGKILL')
    writeFileSync(join(folder, 'go'), '')
    await type(worker, /omium\.worker ready/)

    expect((await ends(waiting)).length).toBeGreaterThan(10)
    expect((await ends(await type(journal))).trim().split('\n').map(shapeOf)).toEqual(printed.map(shapeOf))
    const events = []
    for await (const event of client.handle(id).events()) events.push(event)
    expect(recordedTwice(events)).toEqual([])
    // one to the kill; a busy machine may cost others
    expect(events.filter((event) => event.type === 'AttemptLost').length).toBeGreaterThan(0)
  },
  300_000,
)
