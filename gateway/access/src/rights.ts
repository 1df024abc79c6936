import type { LiveContext, Reads } from '@omium/projection-kit'
import { type ApiKeyOptions, type ApiKeys, createApiKeys } from './api-keys.ts'
import { createEndedSessions, type EndedSessions } from './caller.ts'
import { followAccess, type RightsChange } from './follow-access.ts'
import { createMembers, type MemberOptions, type Members } from './members.ts'

/** Who may do what, as the read model and the log say it: the same for every process that takes requests. */
export interface Rights {
  readonly apiKeys: ApiKeys
  readonly members: Members
  readonly ended: EndedSessions
  /** Begins to hear the log. To be called before anything of the identity context is dispatched. */
  follow(context: Pick<LiveContext, 'live' | 'positions'>): void
  /** Whether everything that the log says by now is heard. */
  isFollowed(): Promise<boolean>
  /** Tells of each change that the log says, once it has taken effect. @returns the way to stop */
  onChanged(listener: (change: RightsChange) => void): () => void
}

export interface RightsOptions {
  readonly reads: Reads
  readonly keys: Pick<ApiKeyOptions, 'peppers' | 'environment'>
  readonly open?: MemberOptions['open']
  readonly nowMs: () => number
}

/** how long the log may take to say that there is nothing new, ms */
const askLogMs = 2_000
/** how long its answer is good: what is new comes by itself, if it comes */
const answerMs = 1_000

export const createRights = ({ reads, keys, open, nowMs }: RightsOptions): Rights => {
  const listeners = new Set<(change: RightsChange) => void>()
  let followed: Pick<LiveContext, 'live' | 'positions'> | undefined
  let asked: { readonly at: number; readonly answer: Promise<boolean> } | undefined

  const isFollowed = async (): Promise<boolean> => {
    if (!followed) return false
    if (!asked || nowMs() - asked.at >= answerMs) asked = { at: nowMs(), answer: followed.live.reachesEnd(askLogMs) }
    return asked.answer
  }
  const rememberers = {
    apiKeys: createApiKeys({ reads, ...keys, isFollowed, nowMs }),
    members: createMembers({ reads, ...(open && { open }), isFollowed, nowMs }),
    ended: createEndedSessions(),
  }
  return {
    ...rememberers,
    isFollowed,
    follow: (context) => {
      followed = context
      followAccess(context, rememberers, (change) => {
        for (const listener of listeners) listener(change)
      })
    },
    onChanged: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
