import { createInterface } from 'node:readline'
import { type Client, omium } from '@omium/sdk'
import { z } from 'zod'
import { lineOf } from '../src/lines.ts'

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
  roll_back: ({ run, toPath, reason }) => client.handle(run).rollBack(toPath, { reason }),
  preview_roll_back: ({ run, toPath }) => client.handle(run).previewRollBack(toPath),
  preview_fork: ({ run, toPath }) => client.handle(run).previewFork({ toPath }),
  journal: ({ run }) => collected(client.handle(run).journal()),
  diff: ({ run, other }) => client.handle(run).diff(other),
  resolve: ({ run, path, resolution, comment }) => client.handle(run).resolve(path, resolution, comment),
  'run.checkpoints': ({ run, kind }) => collected(client.handle(run).checkpoints({ kind })),
  request: ({ method, path, body }) => client.request(method, path, { body }),
  pages: ({ path }) => collected(client.pages(path, z.json())),
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
  'workflows.version': ({ id, version }) => client.workflows.version(id, version),
  'workflows.deprecate': ({ id, version, reason }) => client.workflows.deprecate(id, version, reason),
  'workflows.templates': () => client.workflows.templates(),
  'schedules.list': ({ workflow }) => collected(client.schedules.list(workflow)),
  'schedules.get': ({ id }) => client.schedules.get(id),
  'schedules.put': ({ id, schedule }) => client.schedules.put(id, schedule),
  'schedules.pause': ({ id }) => client.schedules.pause(id),
  'schedules.resume': ({ id }) => client.schedules.resume(id),
  'schedules.delete': ({ id }) => client.schedules.delete(id),
  'schedules.firings': ({ id }) => collected(client.schedules.firings(id)),
  'triggers.list': () => collected(client.triggers.list()),
  'triggers.get': ({ id }) => client.triggers.get(id),
  'triggers.put': ({ id, trigger }) => client.triggers.put(id, trigger),
  'triggers.pause': ({ id }) => client.triggers.pause(id),
  'triggers.resume': ({ id }) => client.triggers.resume(id),
  'triggers.delete': ({ id }) => client.triggers.delete(id),
  'checkpoints.create': ({ thread, state, ...options }) => client.checkpoints.create(thread, state, options),
  'checkpoints.list': (filter) => collected(client.checkpoints.list(filter)),
  'checkpoints.get': ({ thread, id }) => client.checkpoints.get(thread, id),
  'checkpoints.verify': ({ thread, id }) => client.checkpoints.verify(thread, id),
  'checkpoints.rollback': ({ thread, id, reason }) => client.checkpoints.rollback(thread, id, { reason }),
  'checkpoints.pin': ({ thread, id, holder }) => client.checkpoints.pin(thread, id, holder),
  'checkpoints.unpin': ({ thread, id, holder }) => client.checkpoints.unpin(thread, id, holder),
  'checkpoints.retention': ({ thread }) => client.checkpoints.retention(thread),
  'checkpoints.set_retention': ({ thread, retention }) => client.checkpoints.setRetention(thread, retention),
  'checkpoints.delete': ({ thread, which }) => client.checkpoints.delete(thread, which),
  'checkpoints.delete_thread': ({ thread }) => client.checkpoints.delete(thread),
  'recoveries.list': (filter) => collected(client.recoveries.list(filter)),
  'recoveries.get': ({ id }) => client.recoveries.get(id),
  'recoveries.groups': ({ hours }) => client.recoveries.groups({ hours }),
  'recoveries.stats': ({ hours }) => client.recoveries.stats({ hours }),
  'recoveries.decide': ({ id, action, reason }) => client.recoveries.decide(id, action, reason),
  'policies.list': () => client.recoveryPolicies.list(),
  'policies.versions': ({ name }) => client.recoveryPolicies.versions(name),
  'policies.publish': ({ name, policy, note }) => client.recoveryPolicies.publish(name, policy, { note }),
  'policies.retire': ({ name }) => client.recoveryPolicies.retire(name),
  'policies.validate': ({ policy }) => client.recoveryPolicies.validate(policy),
  'replays.create': ({ id, runs, from }) =>
    client.replays.create({ id, runs: { ids: runs }, ...(from !== undefined && { from: { path: from } }) }),
  'replays.report': ({ id }) => client.replays.report(id),
  follow: ({ after, live, most }) => collected(client.follow({ after, live }), most),
  charges: ({ after, live, most }) => collected(client.charges({ after, live }), most),
  'members.list': () => collected(client.members.list()),
  'members.get': ({ id }) => client.members.get(id),
  'members.set_role': ({ id, role }) => client.members.setRole(id, role),
  'members.remove': ({ id }) => client.members.remove(id),
  'invitations.list': () => collected(client.invitations.list()),
  'invitations.create': ({ email, role }) => client.invitations.create(email, role),
  'invitations.revoke': ({ id }) => client.invitations.revoke(id),
  'workflows.delete': ({ id }) => client.workflows.delete(id),
  'keys.create': ({ name, scopes }) => client.keys.create(name, { scopes }),
  'keys.get': ({ id }) => client.keys.get(id),
  'keys.list': () => collected(client.keys.list()),
  'keys.rotate': ({ id, overlap }) => client.keys.rotate(id, { overlapMs: overlap * 1000 }),
  'keys.revoke': ({ id, reason }) => client.keys.revoke(id, reason),
  'keys.verify': ({ key }) => client.keys.verify(key),
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

const client = omium()
for await (const line of createInterface({ input: process.stdin })) {
  const { call, with: given, options } = JSON.parse(line)
  const caller = options
    ? omium({ timeoutMs: options.timeout * 1000, ...(options.tries && { maxTries: options.tries }) })
    : client
  let answer: unknown
  try {
    const made = calls(caller)[call]
    if (!made) throw new RangeError(`this driver has no call ${call}`)
    answer = { ok: (await made(given ?? {})) ?? null }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    answer = { error: { code: code ?? 'none', detail: message } }
  }
  process.stdout.write(lineOf(answer))
}
