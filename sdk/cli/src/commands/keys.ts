import { type Permission, permission, permissions } from '@omium/schemas'
import type { Command } from 'commander'
import { clientOf } from '../connection.ts'
import { RunFailed, UsageError } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { printList } from '../lists.ts'
import { show } from '../output.ts'
import { readSecret } from '../prompts.ts'

interface Flags {
  json?: boolean
}

const several = (given: string, all: readonly string[] = []): readonly string[] => [...all, given]

/** Words in lines of at most 78 characters. */
const inLines = (words: readonly string[]): string => {
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length > 75) lines.push(`  ${word}`)
    else lines[lines.length - 1] = `${last}, ${word}`
  }
  return lines.join('\n')
}

const dayMs = 86_400_000
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: dayMs }
/** `90d`, `12h`, `0s` */
const duration =
  (option: string) =>
  (text: string): number => {
    const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
    if (count === undefined || unit === undefined)
      throw new UsageError(`${option} is like 90d, 12h, 30m or 0s, not ${text}`)
    return Number(count) * (unitMs[unit] ?? 0)
  }

const granted = (text: string, all: readonly Permission[] = []): readonly Permission[] => {
  const parsed = permission.safeParse(text)
  if (!parsed.success) throw new UsageError(`${text} is no permission; there are ${permissions.join(', ')}`)
  return [...all, parsed.data]
}

interface CreateFlags extends Flags {
  permission: readonly Permission[]
  workflow?: readonly string[]
  agent?: readonly string[]
  from?: readonly string[]
  expiresIn?: number
}

const addWriters = (keys: Command, io: Io): void => {
  keys
    .command('create')
    .description('make a key; it is shown this once')
    .argument('<name>')
    .requiredOption('-p, --permission <permission>', 'that it has; may be given several times', granted)
    .option('--workflow <id>', 'it reaches no other workflows; may be given several times', several)
    .option('--agent <id>', 'it reaches no other agents; may be given several times', several)
    .option('--from <range>', 'addresses in CIDR notation that it works from; may be given several times', several)
    .option('--expires-in <duration>', 'like 90d', duration('--expires-in'))
    .option('--json', 'one JSON document')
    .addHelpText('after', `\nPermissions:\n${inLines(permissions)}`)
    .action(async (name: string, { permission: given, workflow, agent, from, expiresIn, json }: CreateFlags) => {
      const created = await clientOf(io).keys.create(name, {
        scopes: {
          permissions: [...given],
          ...(workflow && { workflows: [...workflow] }),
          ...(agent && { agents: [...agent] }),
        },
        ...(from && { ranges: from }),
        ...(expiresIn !== undefined && { expiresAt: new Date(Date.now() + expiresIn) }),
      })
      // the key alone on standard output, so that it can be piped to where it is kept
      if (!json) io.err(`${created.id} (${created.prefix}...): keep the key, it is not shown again`)
      show(io, json, created, () => created.key)
    })

  keys
    .command('rotate')
    .description('make a successor with the same permissions; the old key goes on for a while')
    .argument('<id>')
    .option('--overlap <duration>', 'how long the old key goes on, like 7d', duration('--overlap'), dayMs)
    .option('--json', 'one JSON document')
    .action(async (id: string, { overlap, json }: Flags & { overlap: number }) => {
      const created = await clientOf(io).keys.rotate(id, { overlapMs: overlap })
      if (!json) io.err(`${created.id} (${created.prefix}...) replaces ${id}: keep the key, it is not shown again`)
      show(io, json, created, () => created.key)
    })

  keys
    .command('revoke')
    .description('end a key, for ever')
    .argument('<id>')
    .option('-r, --reason <text>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { reason, json }: Flags & { reason?: string }) => {
      const receipt = await clientOf(io).keys.revoke(id, reason)
      show(io, json, receipt, () => `${id} is revoked`)
    })
}

/** API keys of the tenant. */
export const addKeysCommand = (program: Command, io: Io): void => {
  const keys = program.command('keys').description('API keys of the tenant')

  keys
    .command('ls')
    .description('all of them, newest first')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).keys.list(),
        ['id', 'name', 'prefix', 'status', 'permissions', 'limited to', 'last used', 'expires'],
        ({ id, name, prefix, status, scopes, lastUsedAt, expiresAt }) => [
          id,
          name,
          prefix,
          status,
          scopes.permissions.length === permissions.length ? 'all' : scopes.permissions.join(' '),
          [...(scopes.workflows ?? []), ...(scopes.agents ?? [])].join(' '),
          lastUsedAt ?? 'never',
          expiresAt ?? '-',
        ],
        'no keys',
      )
    })

  addWriters(keys, io)

  keys
    .command('verify')
    .description('whether a text (from a prompt or standard input) is a live key of the tenant, and what it may do')
    .option('--json', 'one JSON document')
    .action(async ({ json }: Flags) => {
      const verified = await clientOf(io).keys.verify(await readSecret(io, 'API key'))
      show(io, json, verified, () =>
        verified.valid
          ? `${verified.id} is live: ${verified.scopes?.permissions.join(', ')}`
          : 'no live key of this tenant',
      )
      if (!verified.valid) throw new RunFailed('it opens nothing here')
    })
}
