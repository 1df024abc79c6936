import type { InvitationView, MemberView, ReceivedInvitation, Role } from '@omium/schemas'
import type { AnswerOf, Http } from './http.ts'
import { pages } from './pages.ts'

/** People of the tenant. */
export interface Members {
  /** Fetched page by page. */
  list(): AsyncIterable<MemberView>
  /** @throws OmiumError `member_unknown` */
  get(userId: string): Promise<MemberView>
  setRole(userId: string, role: Role): Promise<AnswerOf<'PATCH /v1/members/{userId}'>>
  /** Their sessions in the tenant end. People may remove themselves. @throws OmiumError `last_owner` */
  remove(userId: string): Promise<AnswerOf<'DELETE /v1/members/{userId}'>>
}

/** Who is asked to become a member. */
export interface Invitations {
  /** Those of the tenant, fetched page by page. */
  list(): AsyncIterable<InvitationView>
  /** An open invitation to the same address is replaced. */
  create(email: string, role: Role): Promise<AnswerOf<'POST /v1/invitations'>>
  revoke(id: string): Promise<AnswerOf<'DELETE /v1/invitations/{id}'>>
  /** Those that were sent to whoever is signed in. */
  received(): Promise<readonly ReceivedInvitation[]>
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
