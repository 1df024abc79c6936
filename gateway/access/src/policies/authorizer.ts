import type { KeyEnvironment, Permission, Role } from '@omium/schemas'

/**
 * What the installation's policies say about a request that permissions allow. They take away and never give: who lacks the
 * permission was refused before.
 */
export interface Authorizer {
  /** Never throws: what cannot be decided is denied. */
  decide(request: AccessRequest): Decision
}

export interface AccessRequest {
  readonly principal: {
    readonly kind: 'user' | 'key'
    readonly id: string
    readonly tenant: string
    /** of people who are members */
    readonly role: Role | undefined
    /** it is a service that acts in their name */
    readonly isService: boolean
  }
  /** the permission that the route needs, the first where one of several is enough */
  readonly action: Permission | 'authenticated'
  readonly resource: {
    readonly tenant: string
    /** the collection in the path: `executions` of /v1/executions/:id/cancel */
    readonly kind: string
    /** what the path names, decoded, in its order */
    readonly ids: readonly string[]
  }
  readonly context: {
    readonly ip: string
    readonly timeMs: number
    /** since a second factor was proved; absent when none was, and for keys and services */
    readonly mfaAgeMs: number | undefined
    /** of the installation, and so of every key that it takes */
    readonly environment: KeyEnvironment
    /** method and pattern: `POST /v1/executions/:id/cancel` */
    readonly route: string
  }
}

export type Decision =
  | { readonly isAllowed: true }
  | {
      readonly isAllowed: false
      /** ids of the policies that decided; none when the request itself could not be shown to them */
      readonly policies: readonly string[]
      /** `error`: a policy could not be evaluated */
      readonly reason: 'forbid' | 'error'
    }
