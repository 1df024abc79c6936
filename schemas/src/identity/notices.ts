import { z } from 'zod'
import { v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { factorKind } from './factors.ts'
import { sealedText, sessionId, signInMethod, tenantId, tenantName, timeMs } from './model.ts'

/**
 * Mail to people about what changed in how they, or somebody else, gets in: "was this you?". A mail is owed by the decision that
 * it is about, in the same append, and settled once.
 */
const factor = { kind: factorKind, label: sealedText }
const apiKey = { tenant: tenantId, keyId: callerId, name: tenantName, prefix: z.string().max(40) }

export const securityNotice = z.discriminatedUnion('about', [
  z.object({ about: z.literal('factor_added'), ...factor }),
  z.object({ about: z.literal('factor_removed'), ...factor }),
  /** its counter of signatures went back, and it was refused */
  z.object({ about: z.literal('factor_suspected'), ...factor }),
  z.object({ about: z.literal('recovery_codes_issued') }),
  z.object({ about: z.literal('recovery_code_used'), left: z.number().int().nonnegative() }),
  z.object({ about: z.literal('login_linked'), method: signInMethod, issuer: z.string().max(500) }),
  /** a program without a browser was let in */
  z.object({ about: z.literal('device_session'), sessionId, tenant: tenantId }),
  /** two parties held its tokens */
  z.object({ about: z.literal('session_reused'), sessionId }),
  z.object({ about: z.literal('sessions_ended'), count: z.number().int().positive() }),
  z.object({ about: z.literal('api_key_issued'), ...apiKey }),
])
export type SecurityNotice = z.infer<typeof securityNotice>

/** `too_late`: no mail server took it for a day. `refused`: one never will */
export const noticeOutcome = z.enum(['sent', 'refused', 'too_late', 'erased', 'no_mail_server'])
export type NoticeOutcome = z.infer<typeof noticeOutcome>

export const securityNoticeCommands = {
  /** from the key that they made */
  NoteApiKey: v1(z.object(apiKey)),
} as const

export const securityNoticeEvents = {
  /** known by the version of this event */
  SecurityNoticeOwed: v1(z.object({ notice: securityNotice, at: timeMs })),
  SecurityNoticeSettled: v1(z.object({ notice: z.number().int().positive(), outcome: noticeOutcome })),
} as const
