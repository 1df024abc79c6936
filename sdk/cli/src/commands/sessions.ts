import type { Command } from 'commander'
import { z } from 'zod'
import { clientOf, signedInContext } from '../connection.ts'
import { UsageError } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { show, table } from '../output.ts'

interface Flags {
  json?: boolean
}

const sessions = z.object({
  items: z.array(
    z.looseObject({
      sessionId: z.string(),
      current: z.boolean(),
      tenant: z.string(),
      client: z.string(),
      method: z.string(),
      startedAt: z.string(),
      refreshedAt: z.string().nullable(),
      expiresAt: z.string(),
    }),
  ),
})

/** Sessions of whoever is signed in, in browsers and in programs. */
export const addSessionsCommand = (program: Command, io: Io): void => {
  const command = program.command('sessions').description('where you are signed in')

  command
    .command('ls')
    .description('open sessions, newest first')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      signedInContext(io)
      const { items } = sessions.parse(await clientOf(io).request('GET', '/auth/sessions'))
      if (json) for (const item of items) io.out(JSON.stringify(item))
      else
        io.out(
          table(
            ['', 'id', 'in', 'tenant', 'by', 'since', 'last used', 'expires'],
            items.map((one) => [
              one.current ? '*' : '',
              one.sessionId,
              one.client === 'cli' ? 'program' : 'browser',
              one.tenant,
              one.method,
              one.startedAt,
              one.refreshedAt ?? one.startedAt,
              one.expiresAt,
            ]),
          ),
        )
    })

  command
    .command('end')
    .description('end a session, or all of them')
    .argument('[id]')
    .option('--all', 'all of them, this one too')
    .option('--json', 'one JSON document')
    .action(async (id: string | undefined, { all, json }: Flags & { all?: boolean }) => {
      signedInContext(io)
      if ((id === undefined) !== (all === true)) throw new UsageError('name a session, or say --all')
      const client = clientOf(io)
      if (id === undefined) await client.request('POST', '/auth/sign-out-everywhere', { body: {} })
      else await client.request('DELETE', `/auth/sessions/${encodeURIComponent(id)}`)
      show(io, json, { ended: id ?? 'all' }, () => (id === undefined ? 'all sessions are ended' : `${id} is ended`))
    })
}
