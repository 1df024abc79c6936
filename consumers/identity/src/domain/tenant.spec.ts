import { heldSubject, type Role, roles, type TenantCommand, type TenantEvent } from '@omium/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { owedByTenant } from './owed.ts'
import { decideTenant, evolveTenant, mostInvitations, type TenantState } from './tenant.ts'

const tenant = 'ten_a'
const nowMs = 1_000_000
const address = 'a'.repeat(64)
const by = 'system'

const fold = (events: readonly TenantEvent[], state?: TenantState): TenantState | undefined => {
  let version = 0
  let folded = state
  for (const event of events) folded = evolveTenant(folded, event, { tenant, correlationId: 'c', version: ++version })
  return folded
}
const given = (...events: TenantEvent[]) => ({
  when: (actor: string, command: TenantCommand, at = nowMs) =>
    decideTenant(fold(events), command, tenant, { actor, nowMs: at }),
})

const founded: TenantEvent = { type: 'TenantFounded', data: { name: 'A', owner: 'usr_o', by } }
const added = (userId: string, role: Role): TenantEvent => ({ type: 'MemberAdded', data: { userId, role, by } })
const invitation = (role: Role = 'developer', invitationId = 'inv_1') => ({
  invitationId,
  address,
  email: `v1.${address}.1.x`,
  role,
  expiresAt: nowMs + 1000,
})
const invited = (role?: Role): TenantEvent => ({ type: 'MemberInvited', data: { ...invitation(role), by } })
const accept = (changed = {}): TenantCommand => ({
  type: 'AcceptInvitation',
  data: { invitationId: 'inv_1', userId: 'usr_n', address, ...changed },
})
const remove = (userId: string, why: 'left' | 'removed' | 'erased' = 'removed'): TenantCommand => ({
  type: 'RemoveMember',
  data: { userId, why },
})
const changeRole = (userId: string, role: Role): TenantCommand => ({ type: 'ChangeMemberRole', data: { userId, role } })

describe('founding', () => {
  const found = (owner?: string): TenantCommand => ({
    type: 'FoundTenant',
    data: { name: 'A', ...(owner && { owner }) },
  })
  it('makes the owner the first member, once', () => {
    expect(given().when(by, found('usr_o'))).toEqual({ status: 'decided', events: [founded] })
    expect(fold([founded])?.members).toEqual({ usr_o: 'owner' })
    expect(given(founded).when(by, found('usr_o'))).toMatchObject({ status: 'decided', events: [] })
    expect(given(founded).when(by, found('usr_x'))).toMatchObject({ code: 'identity_conflict' })
  })
  it('comes before everything else', () => {
    expect(given().when(by, remove('usr_o'))).toMatchObject({ code: 'tenant_unknown' })
  })
})

describe('who may change what', () => {
  it.each(roles.map((role) => [role] as const))('%s: invites as the role permits', (role) => {
    const decision = given(founded, added('usr_m', role)).when('user:usr_m', {
      type: 'InviteMember',
      data: invitation(),
    })
    expect(decision.status).toBe(role === 'owner' || role === 'admin' ? 'decided' : 'refused')
  })
  it('a stranger, or a member of yesterday, decides nothing', () => {
    const removed: TenantEvent = { type: 'MemberRemoved', data: { userId: 'usr_m', why: 'removed', by } }
    expect(given(founded).when('user:usr_x', remove('usr_o'))).toMatchObject({ code: 'forbidden' })
    expect(
      given(founded, added('usr_m', 'admin'), removed).when('user:usr_m', {
        type: 'RenameTenant',
        data: { name: 'B' },
      }),
    ).toMatchObject({ code: 'forbidden' })
  })
  it.each([
    ['makes an owner of another', changeRole('usr_d', 'owner')],
    ["changes an owner's role", changeRole('usr_o', 'viewer')],
    ['removes an owner', remove('usr_o')],
    ['invites an owner', { type: 'InviteMember', data: invitation('owner') } as TenantCommand],
  ])('neither an admin nor a key %s', (_what, command) => {
    const before = [founded, added('usr_p', 'owner'), added('usr_a', 'admin'), added('usr_d', 'developer')]
    for (const actor of ['user:usr_a', 'key:key_1'])
      expect(given(...before).when(actor, command)).toMatchObject({ code: 'forbidden' })
    expect(given(...before).when('user:usr_p', command)).toMatchObject({ status: 'decided' })
  })
  it("an admin gives no role that permits what admins may not do, and takes any but an owner's", () => {
    const before = given(founded, added('usr_a', 'admin'), added('usr_b', 'billing'), added('usr_d', 'developer'))
    for (const command of [
      changeRole('usr_d', 'billing'),
      changeRole('usr_a', 'billing'),
      { type: 'InviteMember', data: invitation('billing') } as TenantCommand,
    ]) {
      expect(before.when('user:usr_a', command)).toMatchObject({ code: 'forbidden' })
      expect(before.when('user:usr_o', command)).toMatchObject({ status: 'decided' })
    }
    for (const role of ['admin', 'developer', 'operator', 'viewer'] as const)
      expect(before.when('user:usr_a', { type: 'InviteMember', data: invitation(role) })).toMatchObject({
        status: 'decided',
      })
    expect(before.when('user:usr_a', changeRole('usr_b', 'viewer'))).toMatchObject({ status: 'decided' })
    expect(before.when('user:usr_a', remove('usr_b'))).toMatchObject({ status: 'decided' })
  })
  it.each(['constructor', 'toString', 'hasOwnProperty', 'valueOf'])(
    'there is no member and no invitation %s',
    (name) => {
      const before = given(founded, invited())
      for (const command of [changeRole(name, 'viewer'), remove(name)])
        expect(before.when('user:usr_o', command)).toMatchObject({ code: 'member_unknown', events: [] })
      const revoke: TenantCommand = { type: 'RevokeInvitation', data: { invitationId: name } }
      expect(before.when('user:usr_o', revoke)).toMatchObject({ code: 'invitation_unknown', events: [] })
      const take = accept({ invitationId: name, userId: name })
      expect(before.when(`user:${name}`, take)).toMatchObject({ code: 'invitation_unknown' })
      expect(before.when(`user:${name}`, remove('usr_o'))).toMatchObject({ code: 'forbidden' })
      const erase: TenantCommand = { type: 'EraseMember', data: { erasureId: 'era_1', userId: name } }
      expect(before.when('user:usr_o', erase)).toMatchObject({
        events: [{ type: 'MemberErased', data: { memberships: 0 } }],
      })
    },
  )
  it('a key may invite the first owner of a tenant that has none', () => {
    const ownerless: TenantEvent = { type: 'TenantFounded', data: { name: 'A', by } }
    const command: TenantCommand = { type: 'InviteMember', data: invitation('owner') }
    expect(given(ownerless).when('key:key_1', command)).toMatchObject({ status: 'decided' })
  })
})

describe('an invitation', () => {
  it('makes a member of whoever has its address', () => {
    expect(given(founded, invited()).when('user:usr_n', accept())).toEqual({
      status: 'decided',
      events: [
        { type: 'InvitationAccepted', data: { invitationId: 'inv_1', userId: 'usr_n' } },
        { type: 'MemberAdded', data: { userId: 'usr_n', role: 'developer', by: 'invitation:inv_1' } },
      ],
    })
  })
  it.each([
    ['another address', accept({ address: 'b'.repeat(64) }), nowMs],
    ['another id', accept({ invitationId: 'inv_2' }), nowMs],
    ['too late', accept(), nowMs + 1000],
  ])('is as if it did not exist: %s', (_what, command, at) => {
    expect(given(founded, invited()).when('user:usr_n', command, at)).toMatchObject({ code: 'invitation_unknown' })
  })
  it('of a tenant that there is not is told from none by nothing', () => {
    const nowhere = given().when('user:usr_n', accept())
    expect(nowhere).toEqual(given(founded).when('user:usr_n', accept()))
    expect(nowhere).toMatchObject({ code: 'invitation_unknown' })
  })
  it('is not accepted for somebody else, nor twice', () => {
    expect(given(founded, invited()).when('user:usr_x', accept())).toMatchObject({ code: 'forbidden' })
    const accepted: TenantEvent = { type: 'InvitationAccepted', data: { invitationId: 'inv_1', userId: 'usr_n' } }
    expect(given(founded, invited(), accepted).when('user:usr_x', accept({ userId: 'usr_x' }))).toMatchObject({
      code: 'invitation_unknown',
    })
  })
  it('takes the place of an older one to the same address', () => {
    const again: TenantCommand = { type: 'InviteMember', data: invitation('viewer', 'inv_2') }
    expect(given(founded, invited()).when('user:usr_o', again)).toMatchObject({
      events: [
        { type: 'InvitationRevoked', data: { invitationId: 'inv_1' } },
        { type: 'MemberInvited', data: { invitationId: 'inv_2' } },
      ],
    })
  })
  it('is one of a bounded number', () => {
    const many = Array.from({ length: mostInvitations }, (_, n): TenantEvent => {
      const data = { ...invitation('viewer', `inv_x${n}`), address: n.toString(16).padStart(64, '0'), by }
      return { type: 'MemberInvited', data }
    })
    const one: TenantCommand = { type: 'InviteMember', data: invitation() }
    expect(given(founded, ...many).when(by, one)).toMatchObject({ code: 'identity_conflict' })
    expect(
      given(founded, ...many).when(
        by,
        { ...one, data: { ...one.data, expiresAt: nowMs + 9000 } } as TenantCommand,
        nowMs + 1000,
      ),
    ).toMatchObject({
      status: 'decided',
    })
  })
})

describe('the last owner', () => {
  it.each([
    ['leave', remove('usr_o', 'left')],
    ['be removed', remove('usr_o')],
    ['become something else', changeRole('usr_o', 'admin')],
  ])('cannot %s, but can when there is another', (_what, command) => {
    expect(given(founded, added('usr_a', 'admin')).when('user:usr_o', command)).toMatchObject({ code: 'last_owner' })
    expect(given(founded, added('usr_p', 'owner')).when('user:usr_o', command)).toMatchObject({ status: 'decided' })
  })
  it('goes when the person is erased', () => {
    expect(given(founded).when('system', remove('usr_o', 'erased'))).toMatchObject({ status: 'decided' })
    expect(given(founded).when('user:usr_o', remove('usr_o', 'erased'))).toMatchObject({ code: 'last_owner' })
  })
})

it('anybody may leave, and whoever is gone loses their sessions in this tenant', () => {
  const left: TenantEvent = { type: 'MemberRemoved', data: { userId: 'usr_v', why: 'left', by } }
  expect(given(founded, added('usr_v', 'viewer')).when('user:usr_v', remove('usr_v', 'left'))).toMatchObject({
    events: [{ type: 'MemberRemoved' }],
  })
  const state = fold([founded, added('usr_v', 'viewer'), left]) as TenantState
  const [, owed, ...others] = owedByTenant(state)
  expect(others).toEqual([])
  expect(owed).toMatchObject({
    aggregate: 'user:omium/usr_v',
    command: { type: 'EndSessions', data: { tenant, why: 'removed' } },
    receipt: { type: 'MemberRemovalReported', data: { userId: 'usr_v' } },
  })
  expect(
    owedByTenant(fold([{ type: 'MemberRemovalReported', data: { userId: 'usr_v' } }], state) as TenantState),
  ).toHaveLength(1)
})

it('every member is told what they are a member of, the founder too, once', () => {
  const state = fold([founded, added('usr_v', 'viewer')]) as TenantState
  expect(owedByTenant(state)).toMatchObject(
    ['usr_o', 'usr_v'].map((userId) => ({
      aggregate: `user:omium/${userId}`,
      command: { type: 'NoteMembership', data: { tenant } },
      receipt: { type: 'MemberAdditionReported', data: { userId } },
    })),
  )
  const told = ['usr_o', 'usr_v'].map((userId): TenantEvent => ({ type: 'MemberAdditionReported', data: { userId } }))
  expect(owedByTenant(fold(told, state) as TenantState)).toEqual([])
})

describe('what a tenant holds of somebody', () => {
  const erase = (whom: { userId?: string; address?: string }): TenantCommand => ({
    type: 'EraseMember',
    data: { erasureId: 'era_1', ...whom },
  })
  const history = [founded, added('usr_v', 'viewer'), invited()]
  it('ends: the membership and the invitations, in one decision', () => {
    expect(given(...history).when('user:usr_o', erase({ userId: 'usr_v', address }))).toEqual({
      status: 'decided',
      events: [
        { type: 'MemberRemoved', data: { userId: 'usr_v', why: 'erased', by: 'user:usr_o' } },
        { type: 'InvitationRevoked', data: { invitationId: 'inv_1', by: 'user:usr_o' } },
        {
          type: 'MemberErased',
          data: { erasureId: 'era_1', userId: 'usr_v', address, memberships: 1, invitations: 1, by: 'user:usr_o' },
        },
      ],
    })
  })
  it('can be read by nobody any more: the tenant has the key of the address in it destroyed', () => {
    const erased = { erasureId: 'era_1', address, memberships: 0, invitations: 1, by } as const
    const state = fold([...history, { type: 'MemberErased', data: erased }]) as TenantState
    expect(owedByTenant(state).at(-1)).toMatchObject({
      what: 'erasure',
      subjects: [heldSubject(address, tenant)],
      receipt: { type: 'MemberErasureCompleted', data: { erasureId: 'era_1' } },
    })
    const done = fold([{ type: 'MemberErasureCompleted', data: { erasureId: 'era_1' } }], state) as TenantState
    expect(done.erasures).toEqual({})
  })
  it('is erased of whoever is asked for, so that asking tells nothing', () => {
    expect(given(...history).when('key:key_1', erase({ userId: 'usr_x' }))).toMatchObject({
      events: [{ type: 'MemberErased', data: { memberships: 0, invitations: 0 } }],
    })
  })
  it.each([
    ['an admin', 'user:usr_a', 'usr_v', 'forbidden'],
    ['a stranger', 'user:usr_x', 'usr_v', 'forbidden'],
    ['the last owner, of themself,', 'user:usr_o', 'usr_o', 'last_owner'],
    ['a key, of an owner,', 'key:key_1', 'usr_o', 'forbidden'],
  ])('is not erased by %s', (_who, actor, userId, code) => {
    expect(given(...history, added('usr_a', 'admin')).when(actor, erase({ userId }))).toMatchObject({ code })
  })
})

it('whatever is asked by whomever, an owner stays, and only owners make owners', () => {
  const people = ['usr_o', 'usr_1', 'usr_2', 'usr_3']
  const person = fc.constantFrom(...people)
  const anyRole = fc.constantFrom(...roles)
  const anyCommand = fc.oneof(
    fc.record({ type: fc.constant('ChangeMemberRole' as const), data: fc.record({ userId: person, role: anyRole }) }),
    fc.record({
      type: fc.constant('RemoveMember' as const),
      data: fc.record({ userId: person, why: fc.constantFrom('left' as const, 'removed' as const, 'erased' as const) }),
    }),
    fc.record({
      type: fc.constant('InviteMember' as const),
      data: fc.record({ role: anyRole, n: fc.nat(3) }).map(({ role, n }) => ({
        ...invitation(role, `inv_${n}`),
        address: String(n).padStart(64, '0'),
      })),
    }),
    fc.record({
      type: fc.constant('AcceptInvitation' as const),
      data: fc.record({ userId: person, n: fc.nat(3) }).map(({ userId, n }) => ({
        invitationId: `inv_${n}`,
        userId,
        address: String(n).padStart(64, '0'),
      })),
    }),
  )
  const actor = fc.oneof(
    person.map((id) => `user:${id}`),
    fc.constant('key:key_1'),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(actor, anyCommand), { maxLength: 60 }), (asked) => {
      let state = fold([founded]) as TenantState
      let version = 1
      for (const [who, command] of asked) {
        const owners = () => Object.keys(state.members).filter((id) => state.members[id] === 'owner')
        const before = owners()
        const openOwners = Object.values(state.invitations).filter(({ role }) => role === 'owner').length
        const decision = decideTenant(state, command, tenant, { actor: who, nowMs })
        for (const event of decision.events)
          state = evolveTenant(state, event, { tenant, correlationId: 'c', version: ++version })
        expect(owners().length).toBeGreaterThan(0)
        const byOwner = before.some((id) => who === `user:${id}`)
        if (!byOwner && command.type !== 'AcceptInvitation') expect(owners()).toEqual(before)
        if (!byOwner)
          expect(Object.values(state.invitations).filter(({ role }) => role === 'owner').length).toBeLessThanOrEqual(
            openOwners,
          )
      }
    }),
  )
})

describe('somebody for whom a connection vouches', () => {
  const admit = (role: Role, decides = true, userId = 'usr_n'): TenantCommand => ({
    type: 'AdmitMember',
    data: { userId, role, connection: 'sso_a', decides },
  })
  it('becomes a member by signing in, and by nothing else', () => {
    expect(given(founded).when('sign-in', admit('developer'))).toMatchObject({
      events: [{ type: 'MemberAdded', data: { userId: 'usr_n', role: 'developer', by: 'sso:sso_a' } }],
    })
    for (const actor of ['user:usr_o', 'key:key_a', 'user:usr_n'])
      expect(given(founded).when(actor, admit('owner'))).toMatchObject({ code: 'forbidden' })
  })
  it('gets another role when a rule says so, not because of the default', () => {
    expect(given(founded, added('usr_n', 'viewer')).when('sign-in', admit('admin'))).toMatchObject({
      events: [{ type: 'MemberRoleChanged', data: { role: 'admin', was: 'viewer' } }],
    })
    expect(given(founded, added('usr_n', 'admin')).when('sign-in', admit('viewer', false))).toMatchObject({
      events: [],
    })
    expect(given(founded, added('usr_n', 'viewer')).when('sign-in', admit('viewer'))).toMatchObject({ events: [] })
  })
  it('stays owner as the last one', () => {
    expect(given(founded).when('sign-in', admit('viewer', true, 'usr_o'))).toMatchObject({ events: [] })
    expect(given(founded, added('usr_2', 'owner')).when('sign-in', admit('viewer', true, 'usr_o'))).toMatchObject({
      events: [{ type: 'MemberRoleChanged', data: { was: 'owner', role: 'viewer' } }],
    })
  })
  it('has to come through it only if an owner says so', () => {
    const require: TenantCommand = { type: 'RequireSso', data: { required: true } }
    expect(given(founded).when('user:usr_o', require)).toMatchObject({ events: [{ type: 'SsoRequired' }] })
    expect(given(founded, added('usr_2', 'admin')).when('user:usr_2', require)).toMatchObject({ code: 'forbidden' })
  })
})
