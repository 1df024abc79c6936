import {
  OmiumError,
  type WebhookDeliveryView,
  type WebhookEventType,
  type WebhookSecretReceipt,
  webhookEventTypes,
} from '@omium/schemas'
import { type Command, Option } from 'commander'
import { clientOf } from '../connection.ts'
import { wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { printList } from '../lists.ts'
import { show, table } from '../output.ts'

interface Flags {
  json?: boolean
}

interface CreateFlags extends Flags {
  types?: string
  workflow: string[]
  agent: string[]
  description?: string
}

interface ChangeFlags extends Flags {
  address?: string
  types?: string
  description?: string
}

const asJson = ['--json', 'one JSON document'] as const
const each = (value: string, earlier: string[]): string[] => [...earlier, value]

/** @throws OmiumError `invalid_request` naming those that there are */
const typesOf = (text: string): WebhookEventType[] => {
  const types = text.split(',').map((type) => type.trim())
  const unknown = types.filter((type) => !(webhookEventTypes as readonly string[]).includes(type))
  if (unknown.length === 0) return types as WebhookEventType[]
  throw new OmiumError('invalid_request', `no type ${unknown.join(', ')}; there are ${webhookEventTypes.join(', ')}`)
}

const secretText = ({ id, secret }: WebhookSecretReceipt): string => `id      ${id}\nsecret  ${secret} (told this once)`

/** Endpoints that are told what happens, and what they were told. */
export const addWebhooksCommand = (program: Command, io: Io): void => {
  const webhooks = program.command('webhooks').description('endpoints that are told what happens')

  webhooks
    .command('ls')
    .description('all of them')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).webhooks.list(),
        ['id', 'url', 'types', 'status', 'failing since'],
        (one) => [one.id, one.url, one.types.join(','), one.disabled?.reason ?? one.status, one.failingSince ?? ''],
      )
    })

  webhooks
    .command('show')
    .description('one of them')
    .argument('<id>')
    .option(...asJson)
    .action(async (id: string, { json }: Flags) => {
      const endpoint = await clientOf(io).webhooks.get(id)
      show(io, json, endpoint, () => JSON.stringify(endpoint, null, 2))
    })

  webhooks
    .command('create')
    .description('create an endpoint; its secret is told this once')
    .argument('<url>')
    .option('--types <list>', 'separated by commas; all unless given')
    .option('--workflow <id>', 'only of its runs; may be repeated', each, [])
    .option('--agent <name>', 'only of its runs; may be repeated', each, [])
    .option('--description <text>')
    .option(...asJson)
    .action(async (url: string, { types, workflow, agent, description, json }: CreateFlags) => {
      const filter = { ...(workflow.length > 0 && { workflows: workflow }), ...(agent.length > 0 && { agents: agent }) }
      const receipt = await clientOf(io).webhooks.create({
        url,
        types: types === undefined ? [...webhookEventTypes] : typesOf(types),
        ...(Object.keys(filter).length > 0 && { filter }),
        ...(description !== undefined && { description }),
      })
      show(io, json, receipt, () => secretText(receipt))
    })

  webhooks
    .command('change')
    .description('what is not given stays')
    .argument('<id>')
    .option('--address <url>', 'where it is from now on')
    .option('--types <list>', 'separated by commas')
    .option('--description <text>')
    .option(...asJson)
    .action(async (id: string, { address: url, types, description, json }: ChangeFlags) => {
      const receipt = await clientOf(io).webhooks.change(id, {
        url,
        types: types === undefined ? undefined : typesOf(types),
        description,
      })
      show(io, json, receipt, () => `${id} is changed`)
    })

  for (const [verb, method, done, description] of [
    ['enable', 'enable', 'enabled', 'tell it what happens from now on'],
    ['disable', 'disable', 'disabled', 'tell it nothing until it is enabled'],
    ['rm', 'delete', 'deleted', 'delete one, and its secrets'],
  ] as const)
    webhooks
      .command(verb)
      .description(description)
      .argument('<id>')
      .option(...asJson)
      .action(async (id: string, { json }: Flags) => {
        const receipt = await clientOf(io).webhooks[method](id)
        show(io, json, receipt, () => `${id} is ${done}`)
      })

  webhooks
    .command('rotate')
    .description('make a new secret; the ones before it sign, too, for a while')
    .argument('<id>')
    .option('--overlap <hours>', 'default 24', wholeNumber('--overlap', 0, 168))
    .option(...asJson)
    .action(async (id: string, { overlap, json }: Flags & { overlap?: number }) => {
      const overlapMs = overlap === undefined ? {} : { overlapMs: overlap * 3_600_000 }
      const receipt = await clientOf(io).webhooks.rotate(id, overlapMs)
      show(io, json, receipt, () => secretText(receipt))
    })

  webhooks
    .command('test')
    .description('send a webhook.test')
    .argument('<id>')
    .option(...asJson)
    .action(async (id: string, { json }: Flags) => {
      const receipt = await clientOf(io).webhooks.test(id)
      show(io, json, receipt, () => `asked for; see omium webhooks deliveries ${id} ${receipt.delivery}`)
    })

  webhooks
    .command('deliveries')
    .description('what it was told, or one delivery with its attempts')
    .argument('<id>')
    .argument('[delivery]')
    .addOption(new Option('--status <status>').choices(['pending', 'delivered', 'dead']))
    .option(...asJson)
    .action(
      async (
        id: string,
        delivery: string | undefined,
        { status, json }: Flags & { status?: WebhookDeliveryView['status'] },
      ) => {
        const { webhooks: client } = clientOf(io)
        if (delivery !== undefined) {
          const one = await client.delivery(id, delivery)
          const rows = one.history.map(({ at, result, status: code, tookMs, error, answer }) => [
            at,
            result,
            String(code ?? ''),
            String(tookMs),
            error ?? answer ?? '',
          ])
          show(io, json, one, () => `${one.body}\n\n${table(['at', 'result', 'status', 'ms', 'answer'], rows)}`)
          return
        }
        await printList(
          io,
          json,
          client.deliveries(id, status === undefined ? {} : { status }),
          ['id', 'type', 'status', 'attempts', 'requested', 'next', 'why'],
          (one) => [
            one.id,
            one.type,
            one.status,
            String(one.attempts),
            one.requestedAt,
            one.nextAt ?? '',
            one.why ?? '',
          ],
        )
      },
    )

  webhooks
    .command('redeliver')
    .description('deliver once more what was given up')
    .argument('<id>')
    .argument('<delivery>')
    .option(...asJson)
    .action(async (id: string, delivery: string, { json }: Flags) => {
      const receipt = await clientOf(io).webhooks.redeliver(id, delivery)
      show(io, json, receipt, () => `${delivery} is delivered again`)
    })

  webhooks
    .command('replay')
    .description('deliver what happened in a time again, from the log')
    .argument('<id>')
    .requiredOption('--from <time>', 'ISO 8601')
    .option('--to <time>', 'now unless given')
    .option('--types <list>', 'separated by commas; what it is subscribed to unless given')
    .option(...asJson)
    .action(async (id: string, { from, to, types, json }: Flags & { from: string; to?: string; types?: string }) => {
      const receipt = await clientOf(io).webhooks.replay(id, {
        from,
        ...(to !== undefined && { to }),
        ...(types !== undefined && { types: typesOf(types) }),
      })
      show(io, json, receipt, () => `replay ${receipt.replay} of ${id} has begun`)
    })
}
