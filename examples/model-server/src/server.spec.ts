import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { modelName, openCallLog, readCallLog, startModelServer, systemFingerprint } from './index.ts'

const closing: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const start = async (options: Parameters<typeof startModelServer>[0] = {}) => {
  const server = await startModelServer({ latencyMs: 0, ...options })
  closing.push(() => server.close())
  return server
}

const ask = (baseUrl: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

const plannerRequest = {
  model: modelName,
  messages: [
    { role: 'system', content: 'You are the planner of a research team.' },
    { role: 'user', content: JSON.stringify({ question: 'How do leases and fencing tokens protect data?' }) },
  ],
}

describe('the local model server', () => {
  it('says in every answer that it is scripted', async () => {
    const { baseUrl } = await start()
    const models = (await (await fetch(`${baseUrl}/models`)).json()) as { data: { id: string }[] }
    expect(models.data.map((model) => model.id)).toEqual([modelName])
    const answer = (await (await ask(baseUrl, plannerRequest)).json()) as Record<string, unknown>
    expect(answer).toMatchObject({ object: 'chat.completion', model: modelName, system_fingerprint: systemFingerprint })
  })

  it('answers equal requests equally, ids included, when the nonce is off', async () => {
    const { baseUrl } = await start({ nonce: false })
    const [first, second] = await Promise.all([ask(baseUrl, plannerRequest), ask(baseUrl, plannerRequest)])
    expect(await first?.json()).toEqual(await second?.json())
  })

  it('gives fresh ids but the same text when the nonce is on', async () => {
    const { baseUrl } = await start()
    type Completion = { id: string; choices: { message: { content: string } }[] }
    const first = (await (await ask(baseUrl, plannerRequest)).json()) as Completion
    const second = (await (await ask(baseUrl, plannerRequest)).json()) as Completion
    expect(first.id).not.toBe(second.id)
    expect(first.choices[0]?.message.content).toBe(second.choices[0]?.message.content)
  })

  it('streams the same text in deltas, with usage last when asked', async () => {
    const { baseUrl } = await start({ nonce: false })
    const whole = (await (await ask(baseUrl, plannerRequest)).json()) as {
      choices: { message: { content: string } }[]
      usage: object
    }
    const stream = await (
      await ask(baseUrl, { ...plannerRequest, stream: true, stream_options: { include_usage: true } })
    ).text()
    const lines = stream.split('\n\n').filter(Boolean)
    expect(lines.at(-1)).toBe('data: [DONE]')
    const chunks = lines.slice(0, -1).map(
      (line) =>
        JSON.parse(line.slice('data: '.length)) as {
          choices: { delta: { content?: string }; finish_reason: string | null }[]
          usage?: object
        },
    )
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(
      whole.choices[0]?.message.content,
    )
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop')
    expect(chunks.at(-1)?.usage).toEqual(whole.usage)
  })

  it('logs each call before and after it answers', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'omium-model-'))
    closing.push(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'calls.jsonl')
    const { baseUrl } = await start({ callLog: openCallLog(path) })
    await ask(baseUrl, plannerRequest)
    await ask(baseUrl, plannerRequest)
    const log = readCallLog(path)
    expect(log.map((entry) => [entry.event, entry.call])).toEqual([
      ['received', 1],
      ['answered', 1],
      ['received', 2],
      ['answered', 2],
    ])
    expect(new Set(log.map((entry) => entry.requestHash)).size).toBe(1)
  })

  it.each([
    ['invalid JSON', '{', {}, 400],
    ['a body without messages', { model: modelName }, {}, 400],
    ['an ordered rate limit', plannerRequest, { 'x-omium-fault': '429' }, 429],
    ['an ordered server error', plannerRequest, { 'x-omium-fault': '500' }, 500],
  ])('answers %s with an OpenAI error', async (_what, body, headers, status) => {
    const { baseUrl } = await start()
    const reply = await ask(baseUrl, body, headers as Record<string, string>)
    expect(reply.status).toBe(status)
    expect(await reply.json()).toMatchObject({ error: { message: expect.any(String), code: expect.any(String) } })
  })
})
