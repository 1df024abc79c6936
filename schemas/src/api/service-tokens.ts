import { z } from 'zod'
import { permission } from '../identity/model.ts'

/** Tokens with which one service calls another in the caller's name. */

export const serviceAudience = z.enum(['gateway', 'models', 'engine'])

export const createServiceTokenBody = z.strictObject({
  /** who takes the token; nobody else does */
  audience: serviceAudience,
  /** nobody can give more than they have; what makes keys, members or money cannot be given */
  permissions: z.array(permission).min(1).max(50),
})

export const createdServiceToken = z.object({
  token: z.string(),
  audience: serviceAudience,
  permissions: z.array(permission),
  /** five minutes from now; sooner if what is behind it is revoked */
  expiresAt: z.iso.datetime(),
})
