import { type AccessHours, type Permission, type Role, type SignInMethod, workflowOfRun } from '@omium/schemas'

/** Who asks, and what they may do. */
export interface Caller {
  readonly tenant: string
  /** the key's or the user's id */
  readonly id: string
  /** `key:<id>` or `user:<id>`, as the log records it */
  readonly actor: string
  readonly permissions: ReadonlySet<Permission>
  /** what runs a key is limited to; undefined: no limit */
  readonly limits: KeyLimits | undefined
  /** of a key: what holds for whatever it makes as well */
  readonly bounds?: KeyBounds
  /** where a person comes from; undefined for keys */
  readonly session: SessionCaller | undefined
  /** of a person in this tenant; undefined for keys, and for who is no member any more */
  readonly role: Role | undefined
  /** it came with a service token, in the name of the key or the person */
  readonly isService?: boolean
  /** when a person last proved a second factor in this session, ms; undefined: never, and for keys */
  readonly mfaAt?: number | undefined
}

export interface KeyLimits {
  readonly workflows: readonly string[]
  readonly agents: readonly string[]
}

/** Until when, from where and at what hours a key works; those of its tenant hold besides. */
export interface KeyBounds {
  /** ms; undefined: it does not expire */
  readonly expiresAt: number | undefined
  readonly ranges: readonly string[]
  readonly hours: AccessHours
}

/** A person with a session, as whoever keeps sessions knows them. */
export interface SessionCaller {
  readonly userId: string
  readonly sessionId: string
  readonly tenant: string
  /** RFC 8176 */
  readonly amr: readonly string[]
  /** when they signed in, ms since the epoch; 0: nobody knows */
  readonly authenticatedAt: number
  /** when they last proved a second factor, ms; undefined: never in this session */
  readonly mfaAt?: number | undefined
  /** how the session began; `parseSsoIssuer` tells whether through a tenant's connection */
  readonly login?: { readonly method: SignInMethod; readonly issuer: string }
}

/** Sessions that have ended, as the log says: known sooner than the database says it, and while it is away. */
export interface EndedSessions {
  add(sessionId: string): void
  has(sessionId: string): boolean
}

const mostEnded = 10_000

export const createEndedSessions = (): EndedSessions => {
  const ended = new Set<string>()
  return {
    has: (sessionId) => ended.has(sessionId),
    add: (sessionId) => {
      ended.add(sessionId)
      if (ended.size > mostEnded) ended.delete(ended.values().next().value as string)
    },
  }
}

/** Reads sessions out of requests. @throws OmiumError when there is one that is not good any more */
export interface SessionCallers {
  callerOf(
    headers: Readonly<Record<string, string | string[] | undefined>>,
    method: string,
  ): Promise<SessionCaller | undefined>
}

/** the agent that runs workflow definitions */
const interpreter = 'omium.workflow'

/** Whether a caller may start or see a run of this agent under this id. */
export const reaches = (
  { limits }: Pick<Caller, 'limits'>,
  run: { readonly agent: string; readonly id: string },
): boolean => {
  if (!limits) return true
  if (limits.agents.includes(run.agent)) return true
  const workflow = run.agent === interpreter ? workflowOfRun(run.id) : undefined
  return workflow !== undefined && limits.workflows.includes(workflow)
}

/** Whether a caller may run or see this workflow. */
export const reachesWorkflow = ({ limits }: Pick<Caller, 'limits'>, workflow: string): boolean =>
  !limits || limits.workflows.includes(workflow)
