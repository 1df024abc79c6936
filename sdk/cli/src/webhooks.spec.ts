import { describe, expect, it } from 'vitest'
import { scriptedGateway } from './testing.ts'

const at = '2026-01-01T00:00:00.000Z'
const receipt = { id: 'whk_1', position: '0:1', deduplicated: false }
const endpoint = {
  id: 'whk_1',
  url: 'https://hooks.example/omium',
  types: ['execution.failed'],
  status: 'disabled',
  disabled: { reason: 'failing' },
  failingSince: at,
  createdBy: 'user:u',
  createdAt: at,
  updatedAt: at,
  position: '0:1',
}
const delivery = {
  id: 'msg_1',
  type: 'execution.failed',
  origin: 'event',
  status: 'dead',
  attempts: 2,
  occurredAt: at,
  requestedAt: at,
  settledAt: at,
  lastStatus: 500,
  why: 'it answered 500',
}

describe('omium webhooks', () => {
  const { answers, asked, lines, omium } = scriptedGateway()

  it('lists and shows endpoints', async () => {
    answers['GET /v1/webhooks'] = { items: [endpoint] }
    answers['GET /v1/webhooks/whk_1'] = endpoint
    expect(await omium('webhooks', 'ls')).toBe(0)
    expect(lines.out.join('\n').split('\n')[1]).toBe(
      'whk_1  https://hooks.example/omium  execution.failed  failing  2026-01-01T00:00:00.000Z',
    )
    expect(await omium('webhooks', 'ls', '--json')).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual(endpoint)
    expect(await omium('webhooks', 'show', 'whk_1')).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual(endpoint)
    expect(await omium('webhooks', 'show', 'whk_2')).toBe(4)
  })

  it('creates one for all types or some, and tells its secret once', async () => {
    answers['POST /v1/webhooks'] = { ...receipt, secret: 'whsec_x' }
    const url = 'https://hooks.example/omium'
    expect(await omium('webhooks', 'create', url)).toBe(0)
    expect([lines.out, lines.err]).toEqual([['id      whk_1\nsecret  whsec_x (told this once)'], []])
    expect(asked[0]?.body).toEqual({ url, types: expect.arrayContaining(['budget.exceeded', 'execution.failed']) })
    const some = [
      '--types',
      'execution.failed, execution.waiting',
      '--workflow',
      'a',
      '--workflow',
      'b',
      '--agent',
      'c',
    ]
    expect(await omium('webhooks', 'create', url, ...some, '--description', 'pager', '--json')).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual({ ...receipt, secret: 'whsec_x' })
    expect(asked[1]?.body).toEqual({
      url,
      types: ['execution.failed', 'execution.waiting'],
      filter: { workflows: ['a', 'b'], agents: ['c'] },
      description: 'pager',
    })
    expect(await omium('webhooks', 'create', url, '--types', 'execution.odd')).toBe(4)
    expect(lines.err[0]).toContain('no type execution.odd; there are execution.completed')
  })

  it.each([
    [['enable'], 'POST /v1/webhooks/whk_1/enable', undefined, 'whk_1 is enabled'],
    [['disable'], 'POST /v1/webhooks/whk_1/disable', undefined, 'whk_1 is disabled'],
    [['rm'], 'DELETE /v1/webhooks/whk_1', undefined, 'whk_1 is deleted'],
    [['rotate'], 'POST /v1/webhooks/whk_1/rotate', {}, 'secret  whsec_y (told this once)'],
    [
      ['rotate', '--overlap', '2'],
      'POST /v1/webhooks/whk_1/rotate',
      { overlapMs: 7_200_000 },
      'secret  whsec_y (told this once)',
    ],
    [['test'], 'POST /v1/webhooks/whk_1/test', undefined, 'see omium webhooks deliveries whk_1 msg_2'],
    [
      ['replay', '--from', at, '--types', 'execution.failed'],
      'POST /v1/webhooks/whk_1/replay',
      { from: at, types: ['execution.failed'] },
      'replay rpl_1 of whk_1 has begun',
    ],
  ])('%j asks for %s', async ([verb = '', ...flags], request, body, said) => {
    answers[request] = { ...receipt, secret: 'whsec_y', delivery: 'msg_2', replay: 'rpl_1' }
    expect(await omium('webhooks', verb, 'whk_1', ...flags)).toBe(0)
    expect(asked).toMatchObject([{ request, ...(body && { body }) }])
    expect(lines.out.join('\n')).toContain(said)
  })

  it('shows what an endpoint was told, and one delivery with its attempts', async () => {
    answers['GET /v1/webhooks/whk_1/deliveries'] = { items: [delivery] }
    expect(await omium('webhooks', 'deliveries', 'whk_1', '--status', 'dead')).toBe(0)
    expect(lines.out.join('\n')).toMatch(/msg_1 +execution\.failed +dead +2 .* it answered 500/)
    const history = [{ at, tookMs: 12, status: 500, answer: 'no', result: 'dead' }]
    answers['GET /v1/webhooks/whk_1/deliveries/msg_1'] = { ...delivery, body: '{"type":"execution.failed"}', history }
    expect(await omium('webhooks', 'deliveries', 'whk_1', 'msg_1')).toBe(0)
    expect(lines.out.join('\n')).toMatch(/^\{"type":"execution\.failed"\}\n\n.*\n.* dead +500 +12 +no$/)
    answers['POST /v1/webhooks/whk_1/deliveries/msg_1/redeliver'] = { ...receipt, delivery: 'msg_1' }
    expect(await omium('webhooks', 'redeliver', 'whk_1', 'msg_1')).toBe(0)
    expect(lines.out).toEqual(['msg_1 is delivered again'])
  })

  it.each([
    [['deliveries', 'whk_1', '--status', 'odd']],
    [['rotate', 'whk_1', '--overlap', 'long']],
    [['replay', 'whk_1']],
    [['create']],
  ])('%j is no command line', async (argv) => {
    expect(await omium('webhooks', ...argv)).toBe(2)
    expect(asked).toEqual([])
  })
})
