import type { MagicLinkCommand, MagicLinkEvent } from '@omium/schemas'
import { type Asked, type Decision, decided, refused } from './decision.ts'

/**
 * A link that signs somebody in.
 *
 * 1. It opens once: the second use is refused, whoever tries.
 * 2. Only with its secret, and only in the browser that asked for it: somebody who can read the mail, or who sends his own
 *    link to a victim, opens nothing.
 * 3. Whether it has expired is for the owner's clock to say.
 * 4. Used or expired it is closed: nothing is remembered of it, and it opens nothing as one that never was.
 * 5. Whoever does not know the secret is told the same whatever is wrong.
 */
export interface MagicLinkState {
  readonly secret: string
  readonly browser: string
  readonly expiresAt: number
}

/** undefined: closed */
export const evolveMagicLink = (
  state: MagicLinkState | undefined,
  { type, data }: MagicLinkEvent,
): MagicLinkState | undefined => {
  if (type === 'MagicLinkIssued') return data
  if (!state) throw new RangeError(`${type} of a link that was never issued`)
  return undefined
}

export const decideMagicLink = (
  state: MagicLinkState | undefined,
  { type, data }: MagicLinkCommand,
  { nowMs }: Asked,
): Decision<MagicLinkEvent> => {
  if (type === 'IssueMagicLink') {
    if (state) return refused('identity_conflict', 'a link with this id was issued before')
    return decided({ type: 'MagicLinkIssued', data })
  }
  if (!state || nowMs >= state.expiresAt || state.secret !== data.secret)
    return refused('magic_link_unusable', 'this link was used, has expired, or was never sent: ask for a new one')
  if (state.browser !== data.browser)
    return refused('magic_link_other_browser', 'open the link in the browser that asked for it')
  return decided({ type: 'MagicLinkUsed', data: { at: nowMs } })
}
