import { createPersonalData, createSubjectKeys, kmsOf, kmsSettings } from '@omium/personal-data'
import { type ErasureRecord, getErasure, userOfAddress } from '@omium/projection-identity'
import { createPool, createReads, openLog } from '@omium/projection-kit'
import {
  aggregateKey,
  callerId,
  type ErasureView,
  emailAddress,
  identityContext,
  OmiumError,
  platformTenant,
  readSettings,
} from '@omium/schemas'
import { openGatewayContext } from './context.ts'

const waitMs = 60_000
const askEveryMs = 200

/**
 * Erases a whole person, for the operator of the installation, who has the log and the database: asks for it on the log and waits
 * until it is done. What an address that is no user's was invited by becomes unreadable all the same. Idempotent.
 * @param env settings as a gateway has them
 * @param subject a user id or an e-mail address
 * @throws OmiumError `invalid_request`, `user_unknown`, `timeout` (it goes on then), `log_unreachable`, `unavailable`
 */
export const eraseEverywhere = async (
  env: Record<string, string | undefined>,
  subject: string,
): Promise<ErasureView> => {
  const settings = readSettings(env, ['OMIUM_DATABASE_URL', 'OMIUM_DIGEST_KEY', ...kmsSettings])
  const { OMIUM_DATABASE_URL: databaseUrl, OMIUM_DIGEST_KEY: digestKey } = settings
  const email = subject.includes('@') ? emailAddress.safeParse(subject) : undefined
  if (email ? !email.success : !callerId.safeParse(subject).success)
    throw new OmiumError('invalid_request', 'name a user id or an e-mail address')
  const log = await openLog(env, identityContext, 'omium-privacy', () => undefined)
  const pool = createPool(databaseUrl, { max: 4, application_name: 'omium-privacy' })
  const kms = kmsOf(settings)
  const closing: (() => unknown)[] = [() => kms.close(), () => pool.end(), () => log.close()]
  try {
    const identity = await openGatewayContext({
      log,
      projection: 'identity',
      pool,
      databaseUrl,
      commandTimeoutMs: waitMs,
      readWaitMs: waitMs,
      onNotice: () => undefined,
    })
    closing.unshift(() => identity.close())
    const reads = createReads(pool)
    const keys = createSubjectKeys(pool)
    const { nowMs, ids } = log.context
    let userId: string | undefined = subject
    if (email?.data !== undefined) {
      const address = createPersonalData({ kms, keys, digestKey, nowMs }).digest('email', email.data)
      await identity.untilCurrent()
      userId = await userOfAddress(reads, address)
      // what came before they were a user, or without their becoming one
      if (userId === undefined) await keys.destroy(address)
    }
    if (userId === undefined) {
      const at = new Date(nowMs()).toISOString()
      const nothing = { requestedBy: 'system', memberships: 0, invitations: 0 }
      return { id: ids('erasure'), status: 'completed', ...nothing, requestedAt: at, completedAt: at }
    }
    const aggregate = aggregateKey('user', platformTenant, userId)
    const asker = { tenant: platformTenant, actor: 'system', correlationId: ids('command') }
    await identity.execute(asker, aggregate, ids('command'), { type: 'EraseUser', data: {} })
    await identity.untilCurrent(aggregate)
    const until = nowMs() + waitMs
    for (;;) {
      const record = await getErasure(reads, platformTenant, userId)
      if (record?.completedAt) return erasureViewOf(record)
      if (nowMs() > until)
        throw new OmiumError('timeout', `${userId} is still being erased: it goes on, ask again to hear of its end`)
      await new Promise((resolve) => setTimeout(resolve, askEveryMs))
    }
  } finally {
    for (const close of closing) await close()
  }
}

export const erasureViewOf = ({ requestedAt, completedAt, ...record }: ErasureRecord): ErasureView => ({
  ...record,
  status: completedAt ? 'completed' : 'erasing',
  requestedAt: requestedAt.toISOString(),
  ...(completedAt && { completedAt: completedAt.toISOString() }),
})
