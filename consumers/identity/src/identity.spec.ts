import { type Clock, systemClock } from '@omium/kit'
import { commandTo, ManualClock, MemoryPartition, silent, turns } from '@omium/kit/testing'
import { aggregateKey, type IdentityContextCommand, platformTenant } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { Identity } from './identity.ts'
import { identityMachine, type PartitionState } from './machine.ts'

const nowMs = 1_000_000
const clock: Clock = { ...systemClock, nowMs: () => nowMs }
const user = aggregateKey('user', platformTenant, 'usr_a')
const tenant = aggregateKey('tenant', 'ten_a', 'ten_a')
const login = { method: 'magic_link', issuer: 'omium', subject: 'a'.repeat(64) } as const
const register: IdentityContextCommand = {
  type: 'RegisterUser',
  data: { address: 'a'.repeat(64), email: 'v1.usr_a.1.x', login, tenant: { id: 'ten_a', name: 'A' } },
}

const hosted = (history: MemoryPartition<PartitionState>['log'] = []) => {
  const erased: string[] = []
  const identity = new Identity({ clock, notices: silent, erase: async (subject) => void erased.push(subject) })
  const partition = new MemoryPartition(identityMachine, { history, nowMs: () => nowMs })
  identity.owned(partition)
  const ask = async (aggregate: string, command: IdentityContextCommand, given = {}) => {
    await identity.command(partition, commandTo(aggregate, command, { actor: 'system', ...given }))
    await turns()
    return partition.log.at(-1)
  }
  return { identity, partition, erased, ask }
}

describe('the identity context', () => {
  it('founds the tenant of a new user once, whoever owns the partition by then', async () => {
    const first = hosted()
    await first.ask(user, register)
    expect(first.partition.sent).toMatchObject([{ type: 'FoundTenant', aggregate: tenant, tenant: 'ten_a' }])
    expect(first.partition.typesOf(user)).toEqual(['UserRegistered', 'PersonalTenantRequested'])
    // an owner that died before the receipt: the next one sends the same, under the same id
    const second = hosted(first.partition.log.slice(0, 1))
    await turns()
    expect(second.partition.sent.map(({ id }) => id)).toEqual(first.partition.sent.map(({ id }) => id))
    const third = hosted(first.partition.log)
    await turns()
    expect(third.partition.sent).toEqual([])
  })

  it('ends the sessions of a removed member', async () => {
    const { ask, partition } = hosted()
    await ask(tenant, { type: 'FoundTenant', data: { name: 'A', owner: 'usr_o' } })
    const invitation = { invitationId: 'inv_1', address: 'b'.repeat(64) }
    const invite = { ...invitation, email: 'v1.b.1.x', role: 'viewer', expiresAt: nowMs + 1 } as const
    await ask(tenant, { type: 'InviteMember', data: invite })
    await ask(tenant, { type: 'AcceptInvitation', data: { ...invitation, userId: 'usr_a' } })
    await ask(tenant, { type: 'RemoveMember', data: { userId: 'usr_a', why: 'removed' } })
    expect(partition.sent.slice(-1)).toMatchObject([
      { type: 'EndSessions', aggregate: user, tenant: platformTenant, data: { tenant: 'ten_a', why: 'removed' } },
    ])
    expect(partition.typesOf(tenant).at(-1)).toBe('MemberRemovalReported')
  })

  it('tells users of their memberships, and ends them when they are erased', async () => {
    const { ask, partition } = hosted()
    await ask(user, register)
    await ask(tenant, { type: 'FoundTenant', data: { name: 'A', owner: 'usr_a' } })
    const [, noted] = partition.sent
    expect(noted).toMatchObject({ type: 'NoteMembership', aggregate: user, tenant: platformTenant })
    expect(partition.typesOf(tenant)).toEqual(['TenantFounded', 'MemberAdditionReported'])
    await ask(user, { type: 'NoteMembership', data: { tenant: 'ten_a' } })
    await ask(user, { type: 'EraseUser', data: {} })
    const ended = partition.sent.find(({ type }) => type === 'RemoveMember')
    expect(ended).toMatchObject({ aggregate: tenant, tenant: 'ten_a', actor: 'system', data: { why: 'erased' } })
    await ask(tenant, { type: 'RemoveMember', data: { userId: 'usr_a', why: 'erased' } })
    expect(partition.state.tenants.get(tenant)?.members).toEqual({})
  })

  it('remembers no more sign-in links than are open, and the fold no more than it keeps of what is closed', async () => {
    const time = new ManualClock(nowMs)
    const partition = new MemoryPartition(identityMachine, { nowMs: () => time.nowMs() })
    const identity = new Identity({ clock: time, notices: silent, erase: async () => {} })
    identity.owned(partition)
    const linkMs = 600_000
    const issued = 2_000
    const key = (n: number) => aggregateKey('magic_link', platformTenant, `lnk_${n}`)
    let most = 0
    for (let n = 0; n < issued; n++, time.goTo(time.nowMs() + 10_000)) {
      const data = { secret: 'a'.repeat(64), browser: 'b'.repeat(64), expiresAt: time.nowMs() + linkMs }
      await identity.command(partition, commandTo(key(n), { type: 'IssueMagicLink', data }, { actor: 'sign-in' }))
      if (n % 10 === 0)
        await identity.command(partition, commandTo(key(n), { type: 'UseMagicLink', data }, { actor: 'sign-in' }))
      most = Math.max(most, partition.state.magicLinks.size)
    }
    expect(most).toBeLessThanOrEqual(linkMs / 10_000 + 1)
    const closed = new Set(
      partition.log.filter(({ envelope }) => envelope.closes).map(({ envelope }) => envelope.aggregate),
    )
    expect(issued - closed.size).toBe(partition.state.magicLinks.size)
    await identity.command(
      partition,
      commandTo(key(1), { type: 'UseMagicLink', data: { secret: 'a'.repeat(64), browser: 'b'.repeat(64) } }),
    )
    expect(partition.log.at(-1)).toMatchObject({ type: 'CommandRejected', data: { code: 'magic_link_unusable' } })
  })

  it('destroys the keys of whoever is erased, and frees the address', async () => {
    const { ask, partition, erased } = hosted()
    await ask(user, register)
    await ask(user, { type: 'EraseUser', data: {} })
    expect(erased).toEqual(['usr_a', 'a'.repeat(64)])
    expect(partition.sent.at(-1)).toMatchObject({ type: 'ReleaseAddress' })
    expect(partition.typesOf(user).slice(-2)).toEqual(['UserErased', 'ErasureCompleted'])
  })

  it('ends a session whose old token comes back, and refuses it', async () => {
    const { ask, partition } = hosted()
    await ask(user, register)
    const session = { tenant: 'ten_a', login, amr: [], authenticatedAt: 0, expiresAt: nowMs + 1 }
    const start = { ...session, client: 'cli' as const }
    await ask(user, { type: 'StartSession', data: { sessionId: 'ses_1', ...start } })
    for (const generation of [0, 1])
      await ask(user, { type: 'RefreshSession', data: { sessionId: 'ses_1', generation } })
    const refusal = await ask(user, { type: 'RefreshSession', data: { sessionId: 'ses_1', generation: 0 } })
    expect(refusal).toMatchObject({ type: 'CommandRejected', data: { code: 'refresh_reused' } })
    expect(partition.log.at(-2)).toMatchObject({ type: 'SessionEnded', data: { why: 'reused' } })
    expect(partition.log.at(-2)?.envelope.commandId).toBeUndefined()
  })

  it.each([
    ['of another tenant', tenant, { tenant: 'ten_b' }, { type: 'RenameTenant', data: { name: 'x' } }],
    ['of another kind', user, {}, { type: 'RenameTenant', data: { name: 'x' } }],
    ['of the platform in a tenant', aggregateKey('user', 'ten_a', 'usr_a'), {}, register],
    [
      'of a tenant in the platform',
      aggregateKey('api_key', platformTenant, 'key_1'),
      {},
      { type: 'RevokeApiKey', data: {} },
    ],
    [
      'of a tenant under another id',
      aggregateKey('tenant', 'ten_a', 'ten_b'),
      {},
      { type: 'RenameTenant', data: { name: 'x' } },
    ],
  ] as [string, string, object, IdentityContextCommand][])(
    'refuses what is for an aggregate %s',
    async (_what, aggregate, given, command) => {
      const { ask } = hosted()
      expect(await ask(aggregate, command, given)).toMatchObject({
        type: 'CommandRejected',
        data: { code: 'invalid_request' },
      })
    },
  )

  it('keeps its state in snapshots', async () => {
    const { ask, partition } = hosted()
    await ask(user, register)
    const stored = JSON.parse(JSON.stringify(identityMachine.encode(partition.state)))
    expect(identityMachine.decode(stored)).toEqual(partition.state)
  })
})
