import { OmiumError } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Ceremony } from '../factors/ceremonies.ts'
import type { SignInServices } from '../services.ts'
import { byCookie } from './answers.ts'

/** What a browser's authenticator answered: as JSON from programs, as the text of it in a field of a form. */
const mostBytes = 16_000
const parsed = z
  .string()
  .max(mostBytes)
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown
    } catch {
      context.addIssue({ code: 'custom', message: 'expected JSON' })
      return z.NEVER
    }
  })

/** `ceremony`: of programs, which hold no cookies */
export const fromForm = <S extends z.ZodType>(response: S) =>
  z.object({ response: z.union([response, parsed.pipe(response)]), ceremony: z.string().max(8_000).optional() })

/**
 * What was begun, of this kind and for this user.
 * @param given by a program; a browser has it in a cookie, which no page can read
 * @throws OmiumError `sign_in_expired`
 */
export const ceremonyOf = async <K extends Ceremony['for']>(
  { ceremonies, cookies }: SignInServices,
  request: FastifyRequest,
  given: string | undefined,
  kind: K,
  userId?: string,
): Promise<Extract<Ceremony, { for: K }>> => {
  const sealed = byCookie(request) ? cookies.read(request.headers.cookie, 'ceremony') : given
  const ceremony = await ceremonies.open(sealed ?? '')
  if (ceremony.for !== kind || ('userId' in ceremony && ceremony.userId !== userId))
    throw new OmiumError('sign_in_expired', 'something else was begun meanwhile: begin again')
  return ceremony as Extract<Ceremony, { for: K }>
}
