import { type Role, roles } from '@omium/schemas'
import { Argument, type Command } from 'commander'
import { clientOf } from '../connection.ts'
import type { Io } from '../io.ts'
import { printList } from '../lists.ts'
import { show } from '../output.ts'

interface Flags {
  json?: boolean
}

const roleArgument = (): Argument => new Argument('<role>').choices(roles)

const addMembers = (program: Command, io: Io): void => {
  const members = program.command('members').description('people of the tenant')

  members
    .command('ls')
    .description('all of them')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).members.list(),
        ['id', 'e-mail', 'name', 'role', 'since'],
        ({ userId, email, name, role, since }) => [userId, email ?? '', name ?? '', role, since],
        'no members',
      )
    })

  members
    .command('invite')
    .description('invite somebody; an open invitation to the address is replaced')
    .argument('<email>')
    .addArgument(roleArgument())
    .option('--json', 'one JSON document')
    .action(async (email: string, role: Role, { json }: Flags) => {
      const invited = await clientOf(io).invitations.create(email, role)
      show(io, json, invited, () => `${email} is invited as ${role}`)
    })

  members
    .command('role')
    .description("change a member's role")
    .argument('<id>')
    .addArgument(roleArgument())
    .option('--json', 'one JSON document')
    .action(async (id: string, role: Role, { json }: Flags) => {
      const changed = await clientOf(io).members.setRole(id, role)
      show(io, json, changed, () => `${id} is ${role}`)
    })

  members
    .command('rm')
    .description('remove a member; their sessions in the tenant end')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const removed = await clientOf(io).members.remove(id)
      show(io, json, removed, () => `${id} is no member any more`)
    })
}

const addInvitations = (program: Command, io: Io): void => {
  const invitations = program.command('invitations').description('invitations that nobody has accepted yet')

  invitations
    .command('ls')
    .description('those that the tenant has sent')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      await printList(
        io,
        json,
        clientOf(io).invitations.list(),
        ['id', 'e-mail', 'role', 'status', 'by', 'expires'],
        ({ id, email, role, status, invitedBy, expiresAt }) => [id, email ?? '', role, status, invitedBy, expiresAt],
        'no invitations',
      )
    })

  invitations
    .command('rm')
    .description('take one back')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const revoked = await clientOf(io).invitations.revoke(id)
      show(io, json, revoked, () => `${id} is taken back`)
    })

  invitations
    .command('received')
    .description('those that were sent to you')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      const items = await clientOf(io).invitations.received()
      const list = (async function* () {
        yield* items
      })()
      await printList(
        io,
        json,
        list,
        ['tenant', 'name', 'id', 'role', 'expires'],
        ({ tenant, tenantName, id, role, expiresAt }) => [tenant, tenantName, id, role, expiresAt],
        'no invitations',
      )
    })

  invitations
    .command('accept')
    .description('become a member; omium tenants switch goes there')
    .argument('<tenant>')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (tenant: string, id: string, { json }: Flags) => {
      const accepted = await clientOf(io).invitations.accept(tenant, id)
      show(io, json, accepted, () => `you are a member of ${tenant}`)
    })
}

/** Who belongs to the tenant, and who is asked to. */
export const addMembersCommands = (program: Command, io: Io): void => {
  addMembers(program, io)
  addInvitations(program, io)
}
