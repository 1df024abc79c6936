import { type Client, omium } from '@omium/sdk'

export interface OpenApi {
  paths: Record<string, Record<string, unknown>>
}

/** The operations of an OpenAPI document: `GET /v1/executions/{id}`. */
export const operationsOf = (document: OpenApi): string[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )

/** The operation behind a request, e.g. `GET /v1/executions/x`; those without parameters go first. */
export const operationOf = (request: string, operations: readonly string[]): string | undefined =>
  operations.find((operation) => operation === request) ??
  operations.find((operation) => {
    const [parts, given] = [operation.split('/'), request.split('/')]
    return parts.length === given.length && parts.every((part, i) => part === given[i] || /^\{.*\}$/.test(part))
  })

const drained = async (items: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of items) return
}

const calls: readonly ((client: Client) => Promise<unknown>)[] = [
  (c) => c.start('x', null),
  (c) => c.get('x'),
  (c) => drained(c.list()),
  (c) => drained(c.failures()),
  (c) => c.agents(),
  (c) => c.me(),
  (c) => drained(c.keys.list()),
  (c) => c.keys.get('x'),
  (c) => c.keys.create('x', { scopes: { permissions: ['executions:read'] } }),
  (c) => c.keys.rotate('x'),
  (c) => c.keys.revoke('x'),
  (c) => c.keys.verify('x'),
  (c) => drained(c.webhooks.list()),
  (c) => c.webhooks.get('x'),
  (c) => c.webhooks.create({ url: 'https://x.example', types: ['execution.failed'] }),
  (c) => c.webhooks.change('x', {}),
  (c) => c.webhooks.enable('x'),
  (c) => c.webhooks.disable('x'),
  (c) => c.webhooks.delete('x'),
  (c) => c.webhooks.rotate('x'),
  (c) => c.webhooks.test('x'),
  (c) => drained(c.webhooks.deliveries('x')),
  (c) => c.webhooks.delivery('x', 'x'),
  (c) => c.webhooks.redeliver('x', 'x'),
  (c) => c.webhooks.replay('x', { from: '2026-01-01T00:00:00Z' }),
  (c) => drained(c.webhooks.replays('x')),
  (c) => c.handle('x').result(),
  (c) => drained(c.handle('x').events()),
  (c) => c.handle('x').steps(),
  (c) => drained(c.handle('x').journal()),
  (c) => c.handle('x').signal('go'),
  (c) => c.handle('x').approve('x'),
  (c) => c.handle('x').pause(),
  (c) => c.handle('x').resume(),
  (c) => c.handle('x').cancel(),
  (c) => c.handle('x').resolve('x', { status: 'retry' }),
  (c) => c.handle('x').fork(),
  (c) => c.handle('x').previewFork(),
  (c) => c.handle('x').rollBack(null),
  (c) => c.handle('x').previewRollBack(null),
  (c) => c.handle('x').diff('x'),
  (c) => drained(c.workflows.list()),
  (c) => c.workflows.get('x'),
  (c) => c.workflows.version('x', 1),
  (c) => c.workflows.validate({}),
  (c) => c.workflows.create('x', {}),
  (c) => c.workflows.publish('x', 1),
  (c) => c.workflows.deprecate('x', 1),
  (c) => c.workflows.delete('x'),
  (c) => c.workflows.run('x'),
  (c) => drained(c.workflows.runs('x')),
  (c) => c.workflows.templates(),
  (c) => drained(c.schedules.list()),
  (c) => c.schedules.get('x'),
  (c) => c.schedules.put('x', { workflow: 'x', cron: '0 9 * * *' }),
  (c) => c.schedules.pause('x'),
  (c) => c.schedules.resume('x'),
  (c) => c.schedules.delete('x'),
  (c) => drained(c.schedules.firings('x')),
  (c) => drained(c.triggers.list()),
  (c) => c.triggers.get('x'),
  (c) => c.triggers.put('x', { workflow: 'x', source: { type: 'webhook' } }),
  (c) => c.triggers.pause('x'),
  (c) => c.triggers.resume('x'),
  (c) => c.triggers.delete('x'),
  (c) => c.checkpoints.create('x', {}),
  (c) => drained(c.checkpoints.list()),
  (c) => c.checkpoints.get('x'),
  (c) => c.checkpoints.verify('x', 'x'),
  (c) => c.checkpoints.rollback('x', 'x'),
  (c) => c.checkpoints.pin('x', 'x', 'x'),
  (c) => c.checkpoints.unpin('x', 'x', 'x'),
  (c) => c.checkpoints.retention('x'),
  (c) => c.checkpoints.setRetention('x', { keepLast: 1 }),
  (c) => c.checkpoints.delete('x', [{ id: 'x' }]),
  (c) => c.checkpoints.delete('x'),
  (c) => drained(c.recoveries.list()),
  (c) => c.recoveries.get('x.1'),
  (c) => c.recoveries.groups(),
  (c) => c.recoveries.stats(),
  (c) => c.recoveries.decide('x.1', { type: 'give_up' }),
  (c) => c.recoveryPolicies.list(),
  (c) => c.recoveryPolicies.versions('x'),
  (c) => c.recoveryPolicies.publish('x', {}),
  (c) => c.recoveryPolicies.retire('x'),
  (c) => c.recoveryPolicies.validate({}),
  (c) => c.replays.create({ runs: { ids: ['x'] } }),
  (c) => c.replays.report('x'),
]

/** What each call of the TypeScript client asks of the gateway; nothing is sent. */
export const askedByTypeScript = async (): Promise<string[]> => {
  const asked = new Set<string>()
  const fetch = async (input: unknown, init?: { method?: string }): Promise<Response> => {
    asked.add(`${init?.method ?? 'GET'} ${new URL(String(input)).pathname}`)
    const problem = { type: 'x', title: 'x', status: 404, code: 'not_found', detail: 'x', retryable: false }
    return Response.json(problem, { status: 404 })
  }
  const client = omium({ url: 'http://127.0.0.1:1', apiKey: 'key', fetch: fetch as typeof globalThis.fetch })
  for (const call of calls) await call(client).catch(() => undefined)
  return [...asked]
}
