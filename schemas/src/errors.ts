import { z } from 'zod'
import { jsonValue } from './json.ts'

/**
 * Every error that Omium can tell anyone, over HTTP, on the log, in the SDKs and the CLI. Closed: a new failure gets a
 * new line here and a paragraph in docs/errors.md (a spec holds the two together). `retryable` says whether the same
 * request may succeed later unchanged; `status` is the HTTP status of RFC 9457 problem details.
 */
export const errorCatalogue = {
  // requests
  malformed_request: { status: 400, retryable: false, title: 'The request is not valid HTTP' },
  invalid_json: { status: 400, retryable: false, title: 'The body is not valid JSON' },
  invalid_request: { status: 422, retryable: false, title: 'The request does not fit the schema' },
  payload_too_large: { status: 413, retryable: false, title: 'The payload is larger than allowed' },
  headers_too_large: { status: 431, retryable: false, title: 'The headers of the request are larger than allowed' },
  unsupported_media_type: { status: 415, retryable: false, title: 'The content type is not one that this route takes' },
  method_not_allowed: { status: 405, retryable: false, title: 'This path does not have this method' },
  upgrade_required: { status: 426, retryable: false, title: 'This path speaks WebSocket only' },
  idempotency_conflict: { status: 409, retryable: false, title: 'This idempotency key belongs to another request' },
  request_timeout: { status: 408, retryable: true, title: 'The request did not arrive in time' },
  slow_reader: { status: 408, retryable: true, title: 'The reader of a stream did not keep up' },
  unauthenticated: { status: 401, retryable: false, title: 'It is not known who asks' },
  forbidden: { status: 403, retryable: false, title: 'The caller may not do this' },
  outside_hours: { status: 403, retryable: false, title: 'It may not be used at this time' },
  policy_denied: { status: 403, retryable: false, title: 'A policy of the installation forbids this' },
  not_found: { status: 404, retryable: false, title: 'There is no such resource' },
  rate_limited: { status: 429, retryable: true, title: 'Too many requests' },
  offset_not_reached: { status: 412, retryable: true, title: 'The read model has not reached the requested offset' },
  unavailable: { status: 503, retryable: true, title: 'A part of the platform is unavailable' },
  timeout: { status: 504, retryable: true, title: 'No outcome was recorded in time; it may still be' },
  internal: { status: 500, retryable: false, title: 'Omium failed to handle this' },
  // calls to addresses that customers choose
  address_refused: { status: 422, retryable: false, title: 'Omium does not call this address' },
  outside_failed: { status: 502, retryable: true, title: 'A call to an outside service got no usable answer' },
  // executions
  agent_unknown: { status: 404, retryable: false, title: 'No worker has registered this agent' },
  input_invalid: { status: 422, retryable: false, title: "The input does not fit the agent's schema" },
  execution_unknown: { status: 404, retryable: false, title: 'There is no such execution' },
  execution_conflict: { status: 409, retryable: false, title: 'This execution id exists with another input' },
  execution_finished: { status: 409, retryable: false, title: 'The execution has already finished' },
  execution_not_paused: { status: 409, retryable: false, title: 'The execution is not paused' },
  execution_not_running: { status: 409, retryable: false, title: 'No attempt of the execution is running' },
  execution_recovering: { status: 409, retryable: false, title: 'The execution waits for its recovery' },
  execution_not_recovering: { status: 409, retryable: false, title: 'The execution does not wait for this recovery' },
  execution_paused: { status: 409, retryable: false, title: 'The execution is already paused' },
  execution_cancelled: { status: 409, retryable: false, title: 'The execution was cancelled' },
  execution_timeout: { status: 504, retryable: false, title: 'The execution exceeded its time limit' },
  execution_parked: {
    status: 500,
    retryable: false,
    title: 'The execution is parked on a record that cannot be applied',
  },
  approval_unknown: { status: 404, retryable: false, title: 'The execution awaits no such approval' },
  approval_rejected: { status: 409, retryable: false, title: 'The approval was refused' },
  step_unknown: { status: 404, retryable: false, title: 'The execution has recorded no such step' },
  outcome_not_unknown: { status: 409, retryable: false, title: "This step's outcome is not in doubt" },
  execution_looping: { status: 500, retryable: false, title: 'The execution repeats the same call over and over' },
  execution_stalled: { status: 504, retryable: false, title: 'The execution has recorded nothing for too long' },
  attempts_exhausted: { status: 500, retryable: false, title: 'Every allowed attempt failed' },
  // identity
  session_ended: { status: 401, retryable: false, title: 'The session has ended' },
  refresh_reused: { status: 401, retryable: false, title: 'The refresh token was used before; its session has ended' },
  magic_link_unusable: { status: 410, retryable: false, title: 'The link does not open anything any more' },
  magic_link_other_browser: { status: 403, retryable: false, title: 'The link was asked for by another browser' },
  user_unknown: { status: 404, retryable: false, title: 'There is no such user' },
  tenant_unknown: { status: 404, retryable: false, title: 'There is no such tenant' },
  member_unknown: { status: 404, retryable: false, title: 'The tenant has no such member' },
  invitation_unknown: { status: 404, retryable: false, title: 'There is no such open invitation for this address' },
  api_key_unknown: { status: 404, retryable: false, title: 'There is no such API key' },
  last_owner: { status: 409, retryable: false, title: 'A tenant keeps its last owner' },
  identity_conflict: { status: 409, retryable: false, title: 'What is asked for does not fit what is there' },
  // sign-in
  sign_in_expired: { status: 400, retryable: false, title: 'The sign-in took too long or began elsewhere' },
  sign_in_refused: { status: 401, retryable: false, title: 'The identity provider did not sign them in' },
  address_unverified: { status: 403, retryable: false, title: 'Nobody trusted vouches for the e-mail address' },
  reauthentication_required: { status: 403, retryable: false, title: 'The provider cannot give a fresh proof' },
  mfa_required: { status: 401, retryable: false, title: 'A second factor is needed to sign in' },
  mfa_enrolment_required: { status: 403, retryable: false, title: 'The tenant demands a second factor' },
  step_up_required: { status: 401, retryable: false, title: 'This needs a fresh proof of who they are' },
  factor_refused: { status: 401, retryable: false, title: 'The second factor was not proved' },
  factor_proof_used: { status: 401, retryable: false, title: 'This proof of a second factor was used before' },
  authenticator_suspect: { status: 401, retryable: false, title: 'The security key may have been copied' },
  factor_unknown: { status: 404, retryable: false, title: 'There is no such second factor' },
  last_factor: { status: 409, retryable: false, title: 'A tenant of theirs demands a second factor' },
  origin_refused: { status: 403, retryable: false, title: 'Another site asked for this' },
  sso_connection_unknown: { status: 404, retryable: false, title: 'There is no such SSO connection' },
  sso_assertion_refused: { status: 401, retryable: false, title: "The identity provider's assertion does not hold" },
  sso_address_refused: { status: 403, retryable: false, title: 'The connection may not sign in this address' },
  sso_role_none: { status: 403, retryable: false, title: 'The identity provider gives them no role in the tenant' },
  sso_required: { status: 403, retryable: false, title: 'The tenant is used through its own identity provider only' },
  domain_unknown: { status: 404, retryable: false, title: 'The tenant has not claimed this domain' },
  domain_refused: { status: 422, retryable: false, title: 'Nobody can claim this domain' },
  domain_taken: { status: 409, retryable: false, title: 'The domain belongs to another tenant' },
  domain_unverified: { status: 409, retryable: true, title: 'The DNS record that proves the domain was not found' },
  tenant_none: { status: 403, retryable: false, title: 'The user is a member of no tenant' },
  // recovery
  incident_unknown: { status: 404, retryable: false, title: 'There is no such incident' },
  incident_not_undecided: { status: 409, retryable: false, title: 'The incident waits for no decision' },
  policy_conflict: { status: 409, retryable: false, title: 'The policy has another version than expected' },
  // steps
  step_failed: { status: 500, retryable: true, title: 'A step threw' },
  step_timeout: { status: 504, retryable: true, title: 'A step exceeded its time limit' },
  step_outcome_unknown: { status: 409, retryable: false, title: 'It is unknown whether the effect of a step happened' },
  child_failed: { status: 500, retryable: false, title: 'A child execution failed' },
  wait_timeout: { status: 504, retryable: false, title: 'The awaited signal did not arrive in time' },
  agent_threw: { status: 500, retryable: false, title: 'The agent code threw outside of a step' },
  output_invalid: { status: 422, retryable: false, title: 'A result is not serialisable as JSON' },
  budget_exceeded: { status: 402, retryable: false, title: 'The call would exceed the budget' },
  replay_miss: { status: 409, retryable: false, title: 'A replay asked for what was never recorded' },
  replay_mismatch: { status: 409, retryable: false, title: 'The code does not fit the recorded history' },
  // checkpoints
  checkpoint_unknown: { status: 404, retryable: false, title: 'There is no such checkpoint' },
  checkpoint_conflict: { status: 409, retryable: false, title: 'This checkpoint id exists with another state' },
  checkpoint_needed: { status: 409, retryable: false, title: 'The checkpoint is needed and cannot be deleted' },
  checkpoint_corrupt: { status: 410, retryable: false, title: 'The state of the checkpoint is lost or damaged' },
  // models
  model_rate_limited: { status: 429, retryable: true, title: 'The model provider limits the rate' },
  model_overloaded: { status: 503, retryable: true, title: 'The model provider is overloaded or failing' },
  model_auth: { status: 401, retryable: false, title: 'The model provider refused the credentials' },
  model_context_length: { status: 413, retryable: false, title: "The request exceeds the model's context" },
  model_content_filter: { status: 422, retryable: false, title: 'The model provider filtered the content' },
  model_malformed: { status: 502, retryable: true, title: 'The model provider sent an unreadable answer' },
  // workflows
  workflow_unknown: { status: 404, retryable: false, title: 'There is no such workflow, or no such version of it' },
  workflow_invalid: { status: 422, retryable: false, title: 'The workflow definition has errors' },
  workflow_conflict: { status: 409, retryable: false, title: "The workflow's state does not allow this" },
  workflow_unpublished: { status: 409, retryable: false, title: 'No published version of the workflow can be run' },
  workflow_failed: { status: 500, retryable: false, title: 'A node of the workflow failed' },
  schedule_unknown: { status: 404, retryable: false, title: 'There is no such schedule' },
  schedule_invalid: { status: 422, retryable: false, title: 'The schedule has errors' },
  trigger_unknown: { status: 404, retryable: false, title: 'There is no such trigger' },
  trigger_signature: { status: 401, retryable: false, title: 'The signature of the webhook does not fit' },
  // webhooks
  webhook_unknown: { status: 404, retryable: false, title: 'There is no such webhook endpoint, or no such delivery' },
  webhook_conflict: { status: 409, retryable: false, title: "The webhook endpoint's state does not allow this" },
  // workers
  protocol_unsupported: { status: 426, retryable: false, title: 'The worker protocol version is not supported' },
  protocol_violation: { status: 400, retryable: false, title: 'The worker sent a message that the protocol forbids' },
  attempt_fenced: { status: 409, retryable: false, title: 'A newer attempt owns this execution' },
  memory_exceeded: { status: 507, retryable: false, title: "The run's process used more memory than it may" },
  worker_lost: { status: 503, retryable: true, title: 'The worker stopped answering' },
  // log
  log_unreachable: { status: 503, retryable: true, title: 'The brokers cannot be reached' },
  log_fenced: { status: 503, retryable: true, title: 'Another owner has claimed the partition' },
  log_in_doubt: { status: 503, retryable: true, title: 'The outcome of an append is not known yet' },
  log_truncated: { status: 500, retryable: false, title: 'The log no longer has an offset that was relied on' },
  record_undecodable: { status: 400, retryable: false, title: 'A record cannot be decoded' },
  record_unfoldable: { status: 500, retryable: false, title: 'A record cannot be applied to its aggregate' },
  schema_incompatible: { status: 409, retryable: false, title: 'The registry refuses the schema as incompatible' },
  snapshot_corrupt: { status: 500, retryable: false, title: 'A snapshot does not match its checksum' },
  object_corrupt: { status: 500, retryable: false, title: 'A stored object does not match its checksum' },
  object_missing: { status: 500, retryable: true, title: 'A stored object is missing' },
  settings_invalid: { status: 500, retryable: false, title: 'The settings are invalid' },
} as const satisfies Record<string, { status: number; retryable: boolean; title: string }>

export type ErrorCode = keyof typeof errorCatalogue
export const errorCodes = Object.keys(errorCatalogue) as [ErrorCode, ...ErrorCode[]]
export const errorCode = z.enum(errorCodes)

/** How a failure travels on the log and the wire. `detail` says what happened, to what, and what to do. */
export const failure = z.object({
  code: errorCode,
  detail: z.string().max(8192),
  retryable: z.boolean(),
  /** the class and stack of user code, when it threw */
  cause: z.object({ name: z.string(), message: z.string(), stack: z.string().optional() }).optional(),
  data: jsonValue.optional(),
})
export type Failure = z.infer<typeof failure>

export interface OmiumErrorOptions {
  cause?: unknown
  data?: Failure['data']
  retryable?: boolean
}

/** The one error class of the platform. `message` is the detail: what happened, to what, and what to do. */
export class OmiumError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly data: Failure['data'] | undefined

  constructor(code: ErrorCode, detail: string, options: OmiumErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'OmiumError'
    this.code = code
    this.retryable = options.retryable ?? errorCatalogue[code].retryable
    this.data = options.data
  }

  get status(): number {
    return errorCatalogue[this.code].status
  }

  toFailure(): Failure {
    const { cause } = this
    return {
      code: this.code,
      detail: this.message,
      retryable: this.retryable,
      ...(cause instanceof Error && {
        cause: { name: cause.name, message: cause.message, ...(cause.stack && { stack: cause.stack }) },
      }),
      ...(this.data !== undefined && { data: this.data }),
    }
  }

  static fromFailure(f: Failure): OmiumError {
    return new OmiumError(f.code, f.detail, {
      retryable: f.retryable,
      ...(f.data !== undefined && { data: f.data }),
      ...(f.cause && { cause: Object.assign(new Error(f.cause.message), f.cause) }),
    })
  }
}
