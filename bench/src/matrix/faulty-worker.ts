import { appendFileSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { agent, tool, worker } from '@omium/sdk'
import { pino } from 'pino'
import { z } from 'zod'

/** The program of the fault matrix in TypeScript, in a process of its own: the twin of sdk/python/test/fixtures/faulty_plain.py. */
const acts = process.env['ACTS_LOG'] ?? ''
const model = 'model-a'

const act = async (fault: string, run: string, signal: AbortSignal): Promise<string> => {
  const first = !readFileSync(acts, 'utf8').split('\n').includes(run)
  appendFileSync(acts, `${run}\n`)
  if (first && fault === 'tool_error') throw new Error('the shop is closed')
  if (first && (fault === 'stall' || fault === 'worker_crash')) {
    // never returns
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
  if (fault === 'loop') await delay(200)
  return `acted [fault:${fault} run:${run}]`
}

const actTool = tool({
  name: 'act',
  schema: z.object({ fault: z.string(), run: z.string() }),
  retry: false,
  execute: ({ fault, run }, { signal }) => act(fault, run, signal),
})

/** Code of the user's own that has a mistake, which shows in some runs. */
const judge = (answer: string): void => {
  if (!answer.includes('done [fault:code_bug')) return
  const prices: { total: number }[] = []
  if ((prices[0] as { total: number }).total > 0) throw new RangeError('too dear')
}

const faulty = agent({
  id: 'faulty_typescript',
  // a wrong one is the code's own to refuse
  input: z.unknown(),
  run: async (given, ctx) => {
    const { prompt } = z.object({ prompt: z.string() }).parse(given)
    const [, fault = '', run = ''] = /\[fault:(\w+) run:([\w.-]+)\]/.exec(prompt) ?? []
    if (fault === 'tool_error' || fault === 'timeout') {
      const content = await ctx.step('act', ({ signal }) => act(fault, run, signal), { retry: false })
      const said = await ctx.llm.chat(
        { model, messages: [{ role: 'user', content }] },
        { retry: false, timeoutMs: 400 },
      )
      return said.content
    }
    const { content } = await ctx.llm.run({
      model,
      messages: [
        { role: 'system', content: 'You work.' },
        { role: 'user', content: prompt },
      ],
      tools: [actTool],
      maxTurns: 100,
    })
    judge(content)
    return content
  },
})

const host = worker({ agents: [faulty], logger: pino({ level: 'warn' }) })
await host.start()
process.stdout.write(`ready ${host.id} runs faulty_typescript\n`)
