import { type Permission, type Role, rolePermissions, type TenantCommand, type TenantEvent } from '@omium/schemas'
import { type Asked, type Decision, decided, refused } from './decision.ts'
import { held } from './held.ts'

/**
 * A tenant: its members, what they may do, who is invited.
 *
 * 1. Once a tenant has an owner it has one for ever: the last owner cannot leave, be removed or get another role. Only the
 *    erasure of a person is stronger.
 * 2. Only owners (and the platform itself) make owners, change owners' roles and remove owners. Keys never do, but that a
 *    tenant without any owner may get its first one so. Nor does any member give a role that permits more than their own: who may
 *    not spend the tenant's money does not say who may.
 * 3. A member that asks is checked against the roles held here, so whatever the caller believed, a removed member decides
 *    nothing.
 * 4. An invitation is for its address, until its time, once.
 * 5. Whoever is removed loses the sessions that act in the tenant: `removals` is what is still to be told to their users.
 * 6. Every user knows what they are a member of, so that their erasure ends it: `additions` is what is still to be told.
 * 7. Whom a connection to an identity provider vouches for becomes a member by signing in. Owners alone set up connections and
 *    what role they give, so by them owners are made and changed as well; the last owner stays one all the same.
 */
export interface TenantState {
  readonly tenant: string
  readonly correlationId: string
  name: string
  owner: string | undefined
  /** role by user id */
  readonly members: Record<string, Role>
  /** open ones, by id */
  readonly invitations: Record<string, Invitation>
  /** members whose users do not know of it yet, with the version of the addition */
  readonly additions: Record<string, number>
  /** removed members whose sessions are to end, with the version of the removal */
  readonly removals: Record<string, number>
  /** addresses whose key in this tenant is to be destroyed, by erasure */
  readonly erasures: Record<string, string>
}

interface Invitation {
  readonly address: string
  readonly role: Role
  readonly expiresAt: number
}

/** who speaks for sign-in, before anybody is signed in */
const signInActor = 'sign-in'

export const mostMembers = 10_000
export const mostInvitations = 1_000

interface Place {
  readonly tenant: string
  readonly correlationId: string
  /** of the aggregate, after this event */
  readonly version: number
}

/** Changes the state that it is given. */
export const evolveTenant = (before: TenantState | undefined, event: TenantEvent, place: Place): TenantState => {
  const { type, data } = event
  if (type === 'TenantFounded') {
    const { tenant, correlationId } = place
    return {
      tenant,
      correlationId,
      name: data.name,
      owner: data.owner,
      members: data.owner === undefined ? {} : { [data.owner]: 'owner' },
      invitations: {},
      additions: data.owner === undefined ? {} : { [data.owner]: place.version },
      removals: {},
      erasures: {},
    }
  }
  const state = before
  if (!state) throw new RangeError(`${type} of a tenant that was never founded`)
  switch (type) {
    case 'TenantRenamed':
      state.name = data.name
      break
    case 'MemberInvited': {
      const { address, role, expiresAt } = data
      state.invitations[data.invitationId] = { address, role, expiresAt }
      break
    }
    case 'InvitationRevoked':
    case 'InvitationAccepted':
      delete state.invitations[data.invitationId]
      break
    case 'MemberAdded':
      state.members[data.userId] = data.role
      state.additions[data.userId] = place.version
      break
    case 'MemberRoleChanged':
      state.members[data.userId] = data.role
      break
    case 'MemberAdditionReported':
      delete state.additions[data.userId]
      break
    case 'MemberRemoved':
      delete state.members[data.userId]
      delete state.additions[data.userId]
      state.removals[data.userId] = place.version
      break
    case 'MemberRemovalReported':
      delete state.removals[data.userId]
      break
    case 'MemberErased':
      if (data.address !== undefined) state.erasures[data.erasureId] = data.address
      break
    case 'MemberErasureCompleted':
      delete state.erasures[data.erasureId]
      break
    case 'AddressesAllowed':
    case 'HoursAllowed':
    case 'SsoRequired':
    case 'MfaRequirementChanged':
      break
  }
  return state
}

const ownersOf = ({ members }: TenantState): number => Object.values(members).filter((role) => role === 'owner').length

export const decideTenant = (
  state: TenantState | undefined,
  command: TenantCommand,
  tenant: string,
  asked: Asked,
): Decision<TenantEvent> => {
  const { type, data } = command
  if (type === 'FoundTenant') {
    if (!state) return decided({ type: 'TenantFounded', data: { ...data, by: asked.actor } })
    if (state.owner === data.owner) return decided()
    return refused('identity_conflict', `the tenant ${tenant} belongs to somebody else`)
  }
  if (!state) {
    // a stranger may ask this of any name, and does not learn which tenants there are
    if (type === 'AcceptInvitation') return notInvited(data.invitationId)
    return refused('tenant_unknown', `there is no tenant ${tenant}`)
  }
  // whoever comes in is no member yet; whoever leaves needs nobody's leave
  if (type === 'AcceptInvitation') return accept(state, data, asked)
  if (type === 'AdmitMember') return admit(state, data, asked)
  const own = `user:${'userId' in data ? data.userId : ''}` === asked.actor
  const leaves = type === 'RemoveMember' && own && data.why === 'left'
  const right = rightOf(state, asked.actor)
  if (!leaves && !right.permits(neededFor[type] ?? 'members:write'))
    return refused('forbidden', `${asked.actor} may not change this tenant`)
  return change(state, command, right, asked)
}

/** what the other commands need is `members:write` */
const neededFor: { readonly [T in TenantCommand['type']]?: Permission } = {
  RenameTenant: 'tenant:write',
  AllowAddresses: 'tenant:write',
  AllowHours: 'tenant:write',
  RequireMfa: 'tenant:write',
  EraseMember: 'privacy:write',
  RequireSso: 'sso:write',
}

interface Right {
  permits(permission: Permission): boolean
  /** may touch owners and make them */
  readonly overOwners: boolean
  /** may give the role to somebody */
  gives(role: Role): boolean
}

/** What a key may do was checked where it came in; what members may do is known here. */
const rightOf = (state: TenantState, actor: string): Right => {
  if (actor === 'system') return { permits: () => true, overOwners: true, gives: () => true }
  if (!actor.startsWith('user:')) {
    const overOwners = ownersOf(state) === 0
    return { permits: () => true, overOwners, gives: (role) => role !== 'owner' || overOwners }
  }
  const role = held(state.members, actor.slice('user:'.length))
  const permitted = role ? rolePermissions[role] : []
  const permits = (permission: Permission) => permitted.includes(permission)
  return { permits, overOwners: role === 'owner', gives: (given) => rolePermissions[given].every(permits) }
}

type Change = Exclude<TenantCommand, { type: 'FoundTenant' | 'AcceptInvitation' | 'AdmitMember' }>

const change = (state: TenantState, { type, data }: Change, right: Right, asked: Asked): Decision<TenantEvent> => {
  const by = asked.actor
  switch (type) {
    case 'RenameTenant':
      return data.name === state.name ? decided() : decided({ type: 'TenantRenamed', data: { ...data, by } })
    case 'AllowAddresses':
      return decided({ type: 'AddressesAllowed', data: { ...data, by } })
    case 'AllowHours':
      return decided({ type: 'HoursAllowed', data: { ...data, by } })
    case 'RequireSso':
      return decided({ type: 'SsoRequired', data: { ...data, by } })
    case 'RequireMfa':
      return decided({ type: 'MfaRequirementChanged', data: { ...data, by } })
    case 'InviteMember':
      return right.gives(data.role) ? invite(state, data, asked) : tooMuch(data.role)
    case 'RevokeInvitation': {
      const { invitationId } = data
      const invitation = held(state.invitations, invitationId)
      if (!invitation) return refused('invitation_unknown', `there is no open invitation ${invitationId}`)
      if (invitation.role === 'owner' && !right.overOwners) return ownersOnly()
      return decided({ type: 'InvitationRevoked', data: { invitationId, by } })
    }
    case 'ChangeMemberRole': {
      const was = held(state.members, data.userId)
      if (!was) return refused('member_unknown', `${data.userId} is no member`)
      if (was === data.role) return decided()
      if (was === 'owner' && !right.overOwners) return ownersOnly()
      if (!right.gives(data.role)) return tooMuch(data.role)
      if (was === 'owner' && ownersOf(state) === 1) return lastOwner()
      return decided({ type: 'MemberRoleChanged', data: { ...data, was, by } })
    }
    case 'RemoveMember': {
      const role = held(state.members, data.userId)
      if (!role) return refused('member_unknown', `${data.userId} is no member`)
      const erased = data.why === 'erased' && by === 'system'
      if (role === 'owner' && !right.overOwners) return ownersOnly()
      if (role === 'owner' && ownersOf(state) === 1 && !erased) return lastOwner()
      return decided({ type: 'MemberRemoved', data: { ...data, by } })
    }
    case 'EraseMember':
      return erase(state, data, right, by)
  }
}

const ownersOnly = () => refused<TenantEvent>('forbidden', 'only an owner may make, change or remove owners')
const tooMuch = (role: Role) =>
  role === 'owner' ? ownersOnly() : refused<TenantEvent>('forbidden', `the role ${role} permits more than your own`)
const notInvited = (invitationId: string) =>
  refused<TenantEvent>('invitation_unknown', `there is no open invitation ${invitationId} for this address`)
const lastOwner = () => refused<TenantEvent>('last_owner', 'this is the last owner: make another member owner first')

type Erase = Extract<TenantCommand, { type: 'EraseMember' }>['data']

/** Ends what this tenant holds of somebody; what it never held is erased all the same, so that asking reveals nothing. */
const erase = (state: TenantState, data: Erase, right: Right, by: string): Decision<TenantEvent> => {
  const { userId, address } = data
  const role = userId === undefined ? undefined : held(state.members, userId)
  if (role === 'owner' && !right.overOwners) return ownersOnly()
  if (role === 'owner' && ownersOf(state) === 1) return lastOwner()
  const removed: TenantEvent[] =
    role && userId !== undefined ? [{ type: 'MemberRemoved', data: { userId, why: 'erased', by } }] : []
  const revoked = Object.entries(state.invitations)
    .filter(([, invitation]) => invitation.address === address)
    .map(([invitationId]): TenantEvent => ({ type: 'InvitationRevoked', data: { invitationId, by } }))
  return decided<TenantEvent>(...removed, ...revoked, {
    type: 'MemberErased',
    data: { ...data, memberships: removed.length, invitations: revoked.length, by },
  })
}

type Invite = Extract<TenantCommand, { type: 'InviteMember' }>['data']

/** A new invitation takes the place of an open one to the same address; what has expired goes with it. */
const invite = (state: TenantState, data: Invite, { actor: by, nowMs }: Asked): Decision<TenantEvent> => {
  if (held(state.invitations, data.invitationId))
    return refused('identity_conflict', `there is an invitation ${data.invitationId}`)
  if (data.expiresAt <= nowMs) return refused('invalid_request', 'expiresAt has passed already')
  const gone = Object.entries(state.invitations).filter(
    ([, { address, expiresAt }]) => address === data.address || expiresAt <= nowMs,
  )
  const open = Object.keys(state.invitations).length - gone.length
  if (open >= mostInvitations)
    return refused('identity_conflict', `a tenant has at most ${mostInvitations} open invitations`)
  const revoked = gone.map(([invitationId]): TenantEvent => ({ type: 'InvitationRevoked', data: { invitationId, by } }))
  return decided(...revoked, { type: 'MemberInvited', data: { ...data, by } })
}

type Accept = Extract<TenantCommand, { type: 'AcceptInvitation' }>['data']

const accept = (state: TenantState, data: Accept, { actor, nowMs }: Asked): Decision<TenantEvent> => {
  const { invitationId, userId, address } = data
  if (actor !== 'system' && actor !== `user:${userId}`)
    return refused('forbidden', 'an invitation is accepted by whoever was invited')
  const invitation = held(state.invitations, invitationId)
  const isMember = held(state.members, userId) !== undefined
  if (!invitation && isMember) return decided()
  if (!invitation || invitation.address !== address || invitation.expiresAt <= nowMs) return notInvited(invitationId)
  const accepted: TenantEvent = { type: 'InvitationAccepted', data: { invitationId, userId } }
  if (isMember) return decided<TenantEvent>(accepted)
  if (Object.keys(state.members).length >= mostMembers)
    return refused('identity_conflict', `a tenant has at most ${mostMembers} members`)
  const { role } = invitation
  return decided<TenantEvent>(accepted, {
    type: 'MemberAdded',
    data: { userId, role, by: `invitation:${invitationId}` },
  })
}

type Admit = Extract<TenantCommand, { type: 'AdmitMember' }>['data']

/** Only sign-in itself says whom a connection vouches for. */
const admit = (state: TenantState, data: Admit, { actor }: Asked): Decision<TenantEvent> => {
  const { userId, role, connection, decides } = data
  if (actor !== signInActor) return refused('forbidden', 'members are admitted by signing in')
  const by = `sso:${connection}`
  const was = held(state.members, userId)
  if (was === undefined) {
    if (Object.keys(state.members).length >= mostMembers)
      return refused('identity_conflict', `a tenant has at most ${mostMembers} members`)
    return decided({ type: 'MemberAdded', data: { userId, role, by } })
  }
  const stays = was === role || !decides || (was === 'owner' && ownersOf(state) === 1)
  return stays ? decided() : decided({ type: 'MemberRoleChanged', data: { userId, role, was, by } })
}
