import type { Command } from 'commander'
import { z } from 'zod'
import { clientOf, signedInContext } from '../connection.ts'
import { changeContexts } from '../contexts/contexts.ts'
import { sessionOf, sessionTokens } from '../contexts/session.ts'
import { UsageError } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { show, table } from '../output.ts'
import { confirm } from '../prompts.ts'

interface Flags {
  json?: boolean
}

const session = z.object({
  userId: z.string(),
  tenant: z.string(),
  memberships: z.array(z.object({ tenant: z.string(), name: z.string(), role: z.string() })),
})

const readSession = async (io: Io) => session.parse(await clientOf(io).request('GET', '/auth/session'))

/** Goes on in another tenant, with the tokens of the same session. */
const switchTo = async (io: Io, name: string, tenant: string): Promise<void> => {
  const given = await clientOf(io).request('POST', '/auth/switch-tenant', { body: { tenant } })
  await changeContexts(io, ({ contexts }) => {
    const context = contexts[name]
    if (context) Object.assign(context, { tenant, credential: sessionOf(sessionTokens.parse(given), Date.now()) })
  })
}

/** The tenants of whoever is signed in. */
export const addTenantsCommand = (program: Command, io: Io): void => {
  const tenants = program.command('tenants').description('tenants that you are a member of')

  tenants
    .command('ls')
    .description('all of them; * is the one that you act in')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      signedInContext(io)
      const { tenant: current, memberships } = await readSession(io)
      const items = memberships.map((one) => ({ ...one, current: one.tenant === current }))
      if (json) for (const item of items) io.out(JSON.stringify(item))
      else
        io.out(
          table(
            ['', 'tenant', 'name', 'role'],
            items.map((one) => [one.current ? '*' : '', one.tenant, one.name, one.role]),
          ),
        )
    })

  tenants
    .command('switch')
    .description('act in another tenant from now on')
    .argument('<tenant>')
    .option('--json', 'one JSON document')
    .action(async (tenant: string, { json }: Flags) => {
      await switchTo(io, signedInContext(io), tenant)
      show(io, json, { tenant }, () => `you act in ${tenant}`)
    })

  tenants
    .command('create')
    .description('found another tenant, and act in it')
    .argument('<name>')
    .option('--json', 'one JSON document')
    .action(async (called: string, { json }: Flags) => {
      const name = signedInContext(io)
      const founded = await clientOf(io).request('POST', '/v1/tenants', { body: { name: called } })
      const { id } = z.object({ id: z.string() }).parse(founded)
      await switchTo(io, name, id)
      show(io, json, founded, () => `you act in ${id}, and own it`)
    })

  tenants
    .command('leave')
    .description('leave the tenant that you act in; your session there ends')
    .option('--yes', 'without a question')
    .option('--json', 'one JSON document')
    .action(async ({ yes, json }: Flags & { yes?: boolean }) => {
      const name = signedInContext(io)
      const { userId, tenant } = await readSession(io)
      if (!yes && !(io.interactive && (await confirm(`Leave ${tenant}?`)))) throw new UsageError('say --yes to leave')
      const left = await clientOf(io).request('DELETE', `/v1/members/${encodeURIComponent(userId)}`)
      await changeContexts(io, (contexts) => {
        delete contexts.contexts[name]
        if (contexts.current === name) delete contexts.current
      })
      show(io, json, left, () => `you have left ${tenant}: omium login goes on in another`)
    })
}
