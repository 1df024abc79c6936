import type { InvitationView, MemberView, Role } from '@omium/schemas'
import type { AnswerOf, Http } from './http.ts'
import { pages } from './pages.ts'

/** The people of the tenant. @throws OmiumError `member_unknown`, `last_owner`, `forbidden` */
export interface Members {
  /** By id, fetched page by page. */
  list(): AsyncIterable<MemberView>
  get(userId: string): Promise<MemberView>
  /** Nobody gives a role that is above their own. */
  setRole(userId: string, role: Role): Promise<AnswerOf<'PATCH /v1/members/{userId}'>>
  /** Their sessions in the tenant end; keys that they made go on. */
  remove(userId: string): Promise<AnswerOf<'DELETE /v1/members/{userId}'>>
}

/** Invitations that nobody has accepted yet. */
export interface Invitations {
  /** Newest first, fetched page by page. */
  list(): AsyncIterable<InvitationView>
  /** An open invitation to the address is replaced. @throws OmiumError `invalid_request`, `forbidden` */
  create(email: string, role: Role): Promise<AnswerOf<'POST /v1/invitations'>>
  /** Takes one back. @throws OmiumError `invitation_unknown` */
  revoke(id: string): Promise<AnswerOf<'DELETE /v1/invitations/{id}'>>
  /** Those that were sent to whoever is signed in: it takes `accessToken`, not a key. */
  received(): Promise<AnswerOf<'GET /v1/me/invitations'>['items']>
  /** Makes whoever is signed in a member. */
  accept(tenant: string, id: string): Promise<AnswerOf<'POST /v1/me/invitations/{tenant}/{id}/accept'>>
}

export const membersOf = (http: Http): Members => ({
  list: () => pages(http, 'GET /v1/members', { query: { limit: 200 } }),
  get: (userId) => http.call('GET /v1/members/{userId}', { path: { userId } }),
  setRole: (userId, role) => http.call('PATCH /v1/members/{userId}', { path: { userId }, body: { role } }),
  remove: (userId) => http.call('DELETE /v1/members/{userId}', { path: { userId } }),
})

export const invitationsOf = (http: Http): Invitations => ({
  list: () => pages(http, 'GET /v1/invitations', { query: { limit: 200 } }),
  create: (email, role) => http.call('POST /v1/invitations', { body: { email, role } }),
  revoke: (id) => http.call('DELETE /v1/invitations/{id}', { path: { id } }),
  received: async () => (await http.call('GET /v1/me/invitations', {})).items,
  accept: (tenant, id) => http.call('POST /v1/me/invitations/{tenant}/{id}/accept', { path: { tenant, id } }),
})
