import { type Clock, systemClock } from '@omium/kit'
import { commandTo, ManualClock, MemoryPartition, silent, turns } from '@omium/kit/testing'
import { aggregateKey, type IdentityContextCommand, platformTenant } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { noticeMs } from './domain/notices.ts'
import type { OwedMail } from './domain/owed.ts'
import { Identity, type IdentityOptions } from './identity.ts'
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

const hosted = (
  history: MemoryPartition<PartitionState>['log'] = [],
  tell: IdentityOptions['tell'] = async () => 'sent',
) => {
  const erased: string[] = []
  const identity = new Identity({ clock, notices: silent, erase: async (subject) => void erased.push(subject), tell })
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
    const identity = new Identity({ clock: time, notices: silent, erase: async () => {}, tell: async () => 'sent' })
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
    await ask(user, { type: 'RefreshSession', data: { sessionId: 'ses_1', generation: 0 } })
    const refusal = partition.log.find(({ type }) => type === 'CommandRejected')
    expect(refusal).toMatchObject({ data: { code: 'refresh_reused' } })
    const ended = partition.log.find(({ type }) => type === 'SessionEnded')
    expect(ended).toMatchObject({ data: { why: 'reused' } })
    expect(ended?.envelope.commandId).toBeUndefined()
  })

  const code = { factorId: 'fac_1', kind: 'totp', step: 1 } as const
  const addFactor: IdentityContextCommand = {
    type: 'AddFactor',
    data: {
      factorId: 'fac_1',
      kind: 'totp',
      label: 'v1.usr_a.1.label',
      material: 'v1.usr_a.1.secret',
      proof: code,
      sessionId: 'ses_1',
      amr: ['otp'],
      recoveryCodes: Array.from({ length: 10 }, (_, i) => String(i).repeat(64)),
    },
  }
  const signedIn = async ({ ask }: { ask: (to: string, command: IdentityContextCommand) => Promise<unknown> }) => {
    await ask(user, register)
    const session = { tenant: 'ten_a', login, amr: [], authenticatedAt: 0, expiresAt: nowMs + 1 }
    await ask(user, { type: 'StartSession', data: { sessionId: 'ses_1', ...session, client: 'browser' } })
  }

  it('mails once what changes about who gets in, whoever owns the partition by then', async () => {
    const mails: OwedMail[] = []
    const world = hosted([], async (mail) => {
      mails.push(mail)
      return 'sent'
    })
    await signedIn(world)
    await world.ask(user, addFactor)
    expect(mails).toMatchObject([
      { email: 'v1.usr_a.1.x', notice: { about: 'factor_added', kind: 'totp', label: 'v1.usr_a.1.label' }, at: nowMs },
    ])
    const { log } = world.partition
    expect(log.slice(-2).map(({ type }) => type)).toEqual(['SecurityNoticeOwed', 'SecurityNoticeSettled'])
    expect(log.at(-1)?.data).toEqual({ notice: mails[0]?.version, outcome: 'sent' })
    const again: OwedMail[] = []
    const tell = async (mail: OwedMail) => {
      again.push(mail)
      return 'sent' as const
    }
    hosted(log, tell)
    // one that died before it could say that the mail is out: the same mail goes out under the same id
    hosted(log.slice(0, -1), tell)
    await turns()
    expect(again).toEqual(mails)
  })

  it('goes on while no mail server takes anything, and gives up after a day', async () => {
    const time = new ManualClock(nowMs)
    const partition = new MemoryPartition(identityMachine, { nowMs: () => time.nowMs() })
    let tries = 0
    const tell = () => {
      tries++
      return Promise.reject(new Error('nobody is there'))
    }
    const identity = new Identity({ clock: time, notices: silent, erase: async () => {}, tell })
    identity.owned(partition)
    const ask = async (aggregate: string, command: IdentityContextCommand) => {
      await identity.command(partition, commandTo(aggregate, command, { actor: 'system' }))
      await turns()
      return partition.log.at(-1)
    }
    await signedIn({ ask })
    await ask(user, addFactor)
    await ask(user, { type: 'RenameUser', data: { name: 'v1.usr_a.1.name' } })
    expect(partition.typesOf(user).at(-1)).toBe('UserRenamed')
    expect(tries).toBeGreaterThan(0)
    time.goTo(nowMs + noticeMs + 1)
    await turns()
    expect(partition.log.at(-1)).toMatchObject({ type: 'SecurityNoticeSettled', data: { outcome: 'too_late' } })
  })

  it('tells the person who made an API key, through their user', async () => {
    const mails: OwedMail[] = []
    const { ask, partition } = hosted([], async (mail) => {
      mails.push(mail)
      return 'sent'
    })
    await ask(user, register)
    const key = aggregateKey('api_key', 'ten_a', 'key_1')
    const data = {
      name: 'laptop',
      environment: 'test',
      prefix: 'om_test_key_1',
      hash: { digest: 'c'.repeat(64), pepper: 1 },
      scopes: { permissions: ['executions:read'] },
    } as const satisfies Extract<IdentityContextCommand, { type: 'IssueApiKey' }>['data']
    await ask(key, { type: 'IssueApiKey', data }, { actor: 'user:usr_a' })
    expect(partition.typesOf(key)).toEqual(['ApiKeyIssued', 'ApiKeyReported'])
    const note = partition.sent.find(({ type }) => type === 'NoteApiKey')
    const about = { tenant: 'ten_a', keyId: 'key_1', name: 'laptop', prefix: 'om_test_key_1' }
    expect(note).toMatchObject({ aggregate: user, tenant: platformTenant, data: about })
    await ask(user, { type: 'NoteApiKey', data: about })
    expect(mails).toMatchObject([{ notice: { about: 'api_key_issued', ...about } }])
    // keys that programs make tell nobody
    const other = aggregateKey('api_key', 'ten_a', 'key_2')
    const issue = { type: 'IssueApiKey', data: { ...data, hash: { digest: 'd'.repeat(64), pepper: 1 } } } as const
    await ask(other, issue, { actor: 'key:key_1' })
    expect(partition.typesOf(other)).toEqual(['ApiKeyIssued'])
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
