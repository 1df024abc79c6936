import type { SecurityNotice, UserEvent } from '@omium/schemas'
import { type Decision, decided } from './decision.ts'
import type { Factors } from './factors.ts'

/**
 * Who gets in, or might, is a person's to know: what a decision changes about that is owed to them as a mail.
 *
 * 1. What is owed is part of the decision that it is about: neither is on the log without the other. A decision that is made again
 *    for a command that was decided owes nothing again.
 * 2. Each is settled once, by its version.
 * 3. What is held is bounded (`mostNotices`): beyond that nothing more is owed, since whoever does so much is told often enough.
 */
export type Notices = Record<string, Notice>

interface Notice {
  readonly notice: SecurityNotice
  readonly at: number
}

/** how long a mail that nobody takes is tried */
export const noticeMs = 86_400_000
export const mostNotices = 50

type NoticeEvent = Extract<UserEvent, { type: 'SecurityNoticeOwed' | 'SecurityNoticeSettled' }>

/** Changes the notices that it is given. */
export const evolveNotices = (notices: Notices, { type, data }: NoticeEvent, version: number): void => {
  if (type === 'SecurityNoticeOwed') notices[version] = data
  else delete notices[data.notice]
}

/** What follows from a decision is owed with it, also what a refusal reveals. */
export const withNotices = (
  decision: Decision<UserEvent>,
  { factors, notices }: { readonly factors: Factors; readonly notices: Notices },
  at: number,
): Decision<UserEvent> => {
  const owed = noticesOf(decision.events, factors).slice(0, Math.max(0, mostNotices - Object.keys(notices).length))
  if (owed.length === 0) return decision
  const events = owed.map((notice): UserEvent => ({ type: 'SecurityNoticeOwed', data: { notice, at } }))
  return { ...decision, events: [...decision.events, ...events] }
}

/** One that no decision of theirs is about. */
export const owe = (notices: Notices, notice: SecurityNotice, at: number): Decision<UserEvent> =>
  Object.keys(notices).length >= mostNotices ? decided() : decided({ type: 'SecurityNoticeOwed', data: { notice, at } })

const noticesOf = (events: readonly UserEvent[], factors: Factors): SecurityNotice[] => {
  const signedOut = events.filter(({ type, data }) => type === 'SessionEnded' && data.why === 'signed_out')
  const each = events.flatMap((event) => noticeOf(event, factors) ?? [])
  // recovery codes that come with a factor are not told twice
  const told = each.some(({ about }) => about === 'factor_added')
    ? each.filter(({ about }) => about !== 'recovery_codes_issued')
    : each
  return signedOut.length > 1 ? [...told, { about: 'sessions_ended', count: signedOut.length }] : told
}

const noticeOf = ({ type, data }: UserEvent, factors: Factors): SecurityNotice | undefined => {
  switch (type) {
    case 'FactorAdded':
      return { about: 'factor_added', kind: data.kind, label: data.label }
    case 'FactorRemoved':
    case 'FactorSuspected': {
      const factor = factors.byId[data.factorId]
      const about = type === 'FactorRemoved' ? 'factor_removed' : 'factor_suspected'
      return factor && { about, kind: factor.kind, label: factor.label }
    }
    case 'RecoveryCodesIssued':
      return { about: 'recovery_codes_issued' }
    case 'RecoveryCodeUsed': {
      const left = Object.values(factors.recoveryCodes).filter((used) => !used).length - 1
      return { about: 'recovery_code_used', left: Math.max(0, left) }
    }
    case 'LoginLinked':
      return { about: 'login_linked', method: data.login.method, issuer: data.login.issuer }
    case 'SessionStarted':
      return data.client === 'cli'
        ? { about: 'device_session', sessionId: data.sessionId, tenant: data.tenant }
        : undefined
    case 'SessionEnded':
      return data.why === 'reused' ? { about: 'session_reused', sessionId: data.sessionId } : undefined
    default:
      return undefined
  }
}
