import type { PersonalData } from '@omium/personal-data'
import type { SsoConnectionRecord } from '@omium/projection-identity'
import { aggregateKey, domainOfAddress, type IdSource, OmiumError } from '@omium/schemas'
import type { Accounts, SignedIn } from '../accounts.ts'
import type { IdentityCommands, IdentityReads } from '../ports.ts'
import { judge, type SsoAnswer } from './verdict.ts'

/**
 * From what an identity provider vouched for to a member of its tenant.
 *
 * 1. The address has to be in a domain that belongs to the tenant by now, and so has the address of whoever the account is
 *    linked to: a domain that moved on takes its people along.
 * 2. An assertion is taken on the log, by the aggregate of its connection, before anything follows from it. So it opens one
 *    session in all processes together, also when Redis is lost, and none after the connection was switched off.
 * 3. Who is no member becomes one; a rule that fits sets the role each time, the default role only at first.
 */
export interface Admission {
  /** @throws OmiumError `sso_address_refused`, `sso_role_none`, `sso_assertion_refused`, `sign_in_refused` */
  admit(connection: SsoConnectionRecord, answer: SsoAnswer, correlationId: string): Promise<SignedIn>
}

export interface AdmissionOptions {
  readonly identity: IdentityCommands
  readonly reads: Pick<IdentityReads, 'user'>
  readonly accounts: Pick<Accounts, 'identify'>
  readonly personalData: Pick<PersonalData, 'open' | 'digest'>
  readonly ids: IdSource
}

export const createAdmission = ({ identity, reads, accounts, personalData, ids }: AdmissionOptions): Admission => ({
  admit: async (connection, answer, correlationId) => {
    const { tenant, id } = connection
    const { refusal, role, rule } = judge(connection, answer)
    if (refusal || role === undefined) throw refusal
    if (connection.status !== 'active') throw new OmiumError('sign_in_refused', 'this way in is switched off')
    const asker = { tenant, actor: 'sign-in', correlationId }
    if (answer.assertion) {
      const assertion = personalData.digest('assertion', `${id} ${answer.assertion.id}`)
      const { expiresAt } = answer.assertion
      // each request is a command of its own: the same assertion again is refused, not answered as before
      await identity.execute(asker, aggregateKey('sso_connection', tenant, id), ids('command'), {
        type: 'TakeAssertion',
        data: { assertion, expiresAt },
      })
    }
    const { userId, login } = await accounts.identify(answer.account, correlationId, { founds: false })
    const user = await reads.user(userId)
    const address = user?.email ? await personalData.open(user.email) : undefined
    if (address === undefined || !connection.ownDomains.includes(domainOfAddress(address)))
      throw new OmiumError(
        'sso_address_refused',
        'the address that this account has here is in no domain of the connection',
      )
    const aggregate = aggregateKey('tenant', tenant, tenant)
    await identity.execute(asker, aggregate, ids('command'), {
      type: 'AdmitMember',
      data: { userId, role, connection: id, decides: rule !== undefined },
    })
    await identity.untilCurrent(aggregate)
    return { userId, login, tenant }
  },
})
