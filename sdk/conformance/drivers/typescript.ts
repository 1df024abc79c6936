import { createInterface } from 'node:readline'
import { type Client, omium } from '@omium/sdk'

/** The TypeScript client, called by lines of JSON; see README.md. */

// biome-ignore lint/suspicious/noExplicitAny: arguments and answers are the scenarios' business
type Any = any

const collected = async (items: AsyncIterable<unknown>, most = Number.POSITIVE_INFINITY): Promise<unknown[]> => {
  const all: unknown[] = []
  for await (const item of items) if (all.push(item) >= most) break
  return all
}

const handle = ({ id, created, position }: Any) => ({ id, created, position })

const calls = (client: Client): Record<string, (given: Any) => unknown> => ({
  start: async ({ agent, input, id, options }) => handle(await client.start(agent, input, { id, options })),
  get: ({ run }) => client.get(run),
  result: ({ run, timeout }) => client.handle(run).result({ timeoutMs: timeout * 1000 }),
  ended: ({ run, timeout }) => client.handle(run).ended({ timeoutMs: timeout * 1000 }),
  events: ({ run, after }) => collected(client.handle(run).events({ after })),
  steps: ({ run }) => client.handle(run).steps(),
  signal: ({ run, name, payload, id }) => client.handle(run).signal(name, payload, { id }),
  approve: ({ run, path, decision, comment }) => client.handle(run).approve(path, decision, comment),
  pause: ({ run, reason }) => client.handle(run).pause(reason),
  resume: ({ run }) => client.handle(run).resume(),
  cancel: ({ run, reason }) => client.handle(run).cancel(reason),
  fork: async ({ run, input, toPath, id }) => handle(await client.handle(run).fork({ input, toPath, id })),
  list: ({ filter, pageSize, most }) => collected(client.list({ ...filter, pageSize }), most),
  failures: ({ run }) => collected(client.failures({ execution: run })),
  agents: () => client.agents(),
  me: () => client.me(),
  'workflows.validate': ({ definition }) => client.workflows.validate(definition),
  'workflows.create': ({ id, definition, publish }) => client.workflows.create(id, definition, { publish }),
  'workflows.publish': ({ id, version }) => client.workflows.publish(id, version),
  'workflows.get': ({ id }) => client.workflows.get(id),
  'workflows.list': () => collected(client.workflows.list()),
  'workflows.run': async ({ id, parameters, runId }) =>
    handle(await client.workflows.run(id, parameters, { id: runId })),
  'workflows.runs': ({ id }) => collected(client.workflows.runs(id)),
  'workflows.delete': ({ id }) => client.workflows.delete(id),
  'keys.create': ({ name, scopes }) => client.keys.create(name, { scopes }),
  'keys.get': ({ id }) => client.keys.get(id),
  'keys.list': () => collected(client.keys.list()),
  'keys.rotate': ({ id, overlap }) => client.keys.rotate(id, { overlapMs: overlap * 1000 }),
  'keys.revoke': ({ id, reason }) => client.keys.revoke(id, reason),
  'keys.verify': ({ key }) => client.keys.verify(key),
  'members.list': () => collected(client.members.list()),
  'members.get': ({ id }) => client.members.get(id),
  'members.setRole': ({ id, role }) => client.members.setRole(id, role),
  'members.remove': ({ id }) => client.members.remove(id),
  'invitations.list': () => collected(client.invitations.list()),
  'invitations.create': ({ email, role }) => client.invitations.create(email, role),
  'invitations.revoke': ({ id }) => client.invitations.revoke(id),
  'webhooks.create': ({ url, types, filter }) => client.webhooks.create({ url, types, filter }),
  'webhooks.change': ({ id, changes }) => client.webhooks.change(id, changes),
  'webhooks.get': ({ id }) => client.webhooks.get(id),
  'webhooks.list': ({ most }) => collected(client.webhooks.list(), most),
  'webhooks.rotate': ({ id, overlap }) => client.webhooks.rotate(id, { overlapMs: overlap * 1000 }),
  'webhooks.test': ({ id }) => client.webhooks.test(id),
  'webhooks.deliveries': ({ id, status }) => collected(client.webhooks.deliveries(id, { status })),
  'webhooks.delivery': ({ id, delivery }) => client.webhooks.delivery(id, delivery),
  'webhooks.redeliver': ({ id, delivery }) => client.webhooks.redeliver(id, delivery),
  'webhooks.replay': ({ id, from, to }) => client.webhooks.replay(id, { from, to }),
  'webhooks.replays': ({ id }) => collected(client.webhooks.replays(id)),
  'webhooks.disable': ({ id }) => client.webhooks.disable(id),
  'webhooks.enable': ({ id }) => client.webhooks.enable(id),
  'webhooks.delete': ({ id }) => client.webhooks.delete(id),
  // the same with another key
  'as.get': ({ key, run }) => omium({ apiKey: key }).get(run),
})

const known = calls(omium())
for await (const line of createInterface({ input: process.stdin })) {
  const { call, with: given } = JSON.parse(line)
  let answer: unknown
  try {
    answer = { ok: (await known[call]?.(given ?? {})) ?? null }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    answer = { error: { code: code ?? 'none', detail: message } }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
