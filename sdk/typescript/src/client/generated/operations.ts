// Made from the OpenAPI document by `npm run api:accept`; a spec says when that is to be done again.
import type { ErrorCode, JsonValue } from '@omium/schemas'

/** What the operations of the API take and answer. */
export interface Operations {
  'DELETE /v1/domains/{domain}': {
    path: { domain: string }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'DELETE /v1/invitations/{id}': {
    path: { id: string }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'DELETE /v1/keys/{id}': {
    path: { id: string }
    body?: { reason?: string | undefined } | null
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'DELETE /v1/me': {
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'DELETE /v1/members/{userId}': {
    path: { userId: string }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'DELETE /v1/recovery-policies/{name}': {
    path: { name: string }
    answer: { name: string; position: string; deduplicated: boolean; warnings: { path: string; message: string }[] }
  }
  'DELETE /v1/schedules/{id}': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'DELETE /v1/sso/connections/{id}': {
    path: { id: string }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'DELETE /v1/threads/{thread}': {
    path: { thread: string }
    answer: { thread: string; position: string; deduplicated: boolean }
  }
  'DELETE /v1/triggers/{id}': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'DELETE /v1/webhooks/{id}': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'DELETE /v1/workflows/{id}': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'GET /v1/agents': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: { agent: string; description?: string; inputSchema?: Record<string, JsonValue>; registeredAt: string }[]; nextCursor?: string }
  }
  'GET /v1/charges': {
    query: { after?: string | undefined; cursor?: string | undefined; limit?: number | undefined; min_position?: string | undefined }
    answer: { items: ({ execution: string; event: { id: string; type: string; version: number; time: string; actor: string; commandId?: string; position: string; data: { attempt: number; path: string; name: string; kind: 'step' | 'llm' | 'tool' | 'value' | 'checkpoint' | 'wait' | 'approval' | 'child'; stepAttempt: number; usage: { model?: string; inputTokens?: number; outputTokens?: number; costMicroCredits?: number } } } })[]; nextCursor?: string; after: string }
  }
  'GET /v1/checkpoints': {
    query: { thread?: string | undefined; namespace?: string | undefined; id?: string | undefined; kind?: 'state' | 'run' | undefined; metadata?: string | undefined; order?: 'created' | 'id' | undefined; before?: string | undefined; superseded?: string | undefined; limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ thread: string; id: string; namespace: string; parent?: string; needsParent: boolean; kind: 'state' | 'run'; status: 'intact' | 'corrupted' | 'superseded'; format: string; bytes: number; sha256: string; label?: string; metadata: Record<string, string | number | boolean | null>; point?: { executionId: string; version: number; path?: string }; pins: string[]; createdAt: string; version: number; position: string })[]; nextCursor?: string }
  }
  'GET /v1/checkpoints/{thread}/{id}': {
    path: { thread: string; id: string }
    query: { namespace?: string | undefined; order?: 'created' | 'id' | undefined; min_position?: string | undefined }
    answer: { thread: string; id: string; namespace: string; parent?: string; needsParent: boolean; kind: 'state' | 'run'; status: 'intact' | 'corrupted' | 'superseded'; format: string; bytes: number; sha256: string; label?: string; metadata: Record<string, string | number | boolean | null>; point?: { executionId: string; version: number; path?: string }; pins: string[]; createdAt: string; version: number; position: string; state: { json: JsonValue } | { format: string; base64: string }; writes: ({ taskId: string; taskPath: string; writes: { index: number; channel: string }[]; state: { json: JsonValue } | { format: string; base64: string } })[]; insteadOf?: string }
  }
  'GET /v1/domains': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ domain: string; status: 'pending' | 'verified' | 'missing' | 'lapsed'; record: { type: 'TXT'; name: string; value: string }; claimedAt: string; verifiedAt?: string; missingSince?: string })[]; nextCursor?: string }
  }
  'GET /v1/domains/{domain}': {
    path: { domain: string }
    query: { min_position?: string | undefined }
    answer: { domain: string; status: 'pending' | 'verified' | 'missing' | 'lapsed'; record: { type: 'TXT'; name: string; value: string }; claimedAt: string; verifiedAt?: string; missingSince?: string }
  }
  'GET /v1/events': {
    query: { after?: string | undefined; cursor?: string | undefined; limit?: number | undefined; min_position?: string | undefined }
    answer: { items: { execution: string; event: { id: string; type: string; version: number; time: string; actor: string; commandId?: string; position: string; data: JsonValue } }[]; nextCursor?: string; after: string }
  }
  'GET /v1/executions': {
    query: { status?: 'awaiting_permit' | 'queued' | 'running' | 'suspended' | 'paused' | 'recovering' | 'completed' | 'failed' | 'cancelled' | undefined; agent?: string | undefined; parent?: string | undefined; forked_from?: string | undefined; label?: string | readonly string[] | undefined; limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; agent: string; status: 'awaiting_permit' | 'queued' | 'running' | 'suspended' | 'paused' | 'recovering' | 'completed' | 'failed' | 'cancelled'; input?: JsonValue; output?: JsonValue; error?: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; attempt: number; waitingFor?: string[]; stepsCompleted: number; costMicroCredits: number; inputTokens: number; outputTokens: number; options: { priority?: number; timeoutMs?: number; retry?: { maxAttempts: number; initialDelayMs: number; backoff: number; maxDelayMs: number; jitter: number; nonRetryable: string[] }; concurrency?: { key: string; limit: number }; budgetMicroCredits?: number; labels?: Record<string, string>; recovery?: { policy: string }; simulate?: boolean; checkpoints?: { every: 'step' | 'task' | 'never'; everyMs?: number; beforeEffects?: boolean } }; parentId?: string; forkedFrom?: string; forkedToPath?: string; generation?: number; recovery?: { incident: number; error: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; giveUpAt: string }; createdAt: string; startedAt?: string; finishedAt?: string; version: number; position: string })[]; nextCursor?: string }
  }
  'GET /v1/executions/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; agent: string; status: 'awaiting_permit' | 'queued' | 'running' | 'suspended' | 'paused' | 'recovering' | 'completed' | 'failed' | 'cancelled'; input?: JsonValue; output?: JsonValue; error?: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; attempt: number; waitingFor?: string[]; stepsCompleted: number; costMicroCredits: number; inputTokens: number; outputTokens: number; options: { priority?: number; timeoutMs?: number; retry?: { maxAttempts: number; initialDelayMs: number; backoff: number; maxDelayMs: number; jitter: number; nonRetryable: string[] }; concurrency?: { key: string; limit: number }; budgetMicroCredits?: number; labels?: Record<string, string>; recovery?: { policy: string }; simulate?: boolean; checkpoints?: { every: 'step' | 'task' | 'never'; everyMs?: number; beforeEffects?: boolean } }; parentId?: string; forkedFrom?: string; forkedToPath?: string; generation?: number; recovery?: { incident: number; error: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; giveUpAt: string }; createdAt: string; startedAt?: string; finishedAt?: string; version: number; position: string }
  }
  'GET /v1/executions/{id}/checkpoints': {
    path: { id: string }
    query: { limit?: number | undefined; cursor?: string | undefined; kind?: 'state' | 'run' | undefined; min_position?: string | undefined }
    answer: { items: ({ thread: string; id: string; namespace: string; parent?: string; needsParent: boolean; kind: 'state' | 'run'; status: 'intact' | 'corrupted' | 'superseded'; format: string; bytes: number; sha256: string; label?: string; metadata: Record<string, string | number | boolean | null>; point?: { executionId: string; version: number; path?: string }; pins: string[]; createdAt: string; version: number; position: string })[]; nextCursor?: string }
  }
  'GET /v1/executions/{id}/diff/{other}': {
    path: { id: string; other: string }
    query: { min_position?: string | undefined }
    answer: { a: { id: string; agent: string; status: 'awaiting_permit' | 'queued' | 'running' | 'suspended' | 'paused' | 'recovering' | 'completed' | 'failed' | 'cancelled'; total: { steps: number; modelCalls: number; inputTokens: number; outputTokens: number; costMicroCredits: number; durationMs: number } }; b: { id: string; agent: string; status: 'awaiting_permit' | 'queued' | 'running' | 'suspended' | 'paused' | 'recovering' | 'completed' | 'failed' | 'cancelled'; total: { steps: number; modelCalls: number; inputTokens: number; outputTokens: number; costMicroCredits: number; durationMs: number } }; identical: boolean; sameOutcome: boolean; divergence: { path?: string; cause: 'input' | 'agent' | 'prompt' | 'model' | 'tool' | 'state' | 'code'; detail: string; a: { path: string; kind: string; what?: JsonValue } | null; b: { path: string; kind: string; what?: JsonValue } | null } | null; downstream: { a: { steps: number; modelCalls: number; inputTokens: number; outputTokens: number; costMicroCredits: number; durationMs: number }; b: { steps: number; modelCalls: number; inputTokens: number; outputTokens: number; costMicroCredits: number; durationMs: number }; costDeltaMicroCredits: number; durationDeltaMs: number }; steps: ({ path: string; kind: string; change: 'same' | 'request' | 'result' | 'only_a' | 'only_b'; costDeltaMicroCredits: number; durationDeltaMs: number })[] }
  }
  'GET /v1/executions/{id}/events': {
    path: { id: string }
    query: { after?: number | undefined; deltas?: string | undefined; limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: { id: string; type: string; version: number; time: string; actor: string; commandId?: string; position: string; data: JsonValue }[]; nextCursor?: string } | null
  }
  'GET /v1/executions/{id}/journal': {
    path: { id: string }
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ name: string; entry: { path: string; requestHash: string; status: 'completed'; kind: string; value: JsonValue } | { path: string; requestHash: string; status: 'failed'; kind: string; error: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue } } | { path: string; requestHash: string; status: 'pending'; kind: string } | { path: string; requestHash: string; status: 'retrying'; kind: string; stepAttempt: number; retryAt: number } | { path: string; requestHash: string; status: 'unknown'; kind: string; stepAttempt: number; idempotencyKey: string } })[]; nextCursor?: string }
  }
  'GET /v1/executions/{id}/result': {
    path: { id: string }
    query: { wait_ms?: number | undefined; min_position?: string | undefined }
    answer: { id: string; agent: string; status: 'awaiting_permit' | 'queued' | 'running' | 'suspended' | 'paused' | 'recovering' | 'completed' | 'failed' | 'cancelled'; input?: JsonValue; output?: JsonValue; error?: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; attempt: number; waitingFor?: string[]; stepsCompleted: number; costMicroCredits: number; inputTokens: number; outputTokens: number; options: { priority?: number; timeoutMs?: number; retry?: { maxAttempts: number; initialDelayMs: number; backoff: number; maxDelayMs: number; jitter: number; nonRetryable: string[] }; concurrency?: { key: string; limit: number }; budgetMicroCredits?: number; labels?: Record<string, string>; recovery?: { policy: string }; simulate?: boolean; checkpoints?: { every: 'step' | 'task' | 'never'; everyMs?: number; beforeEffects?: boolean } }; parentId?: string; forkedFrom?: string; forkedToPath?: string; generation?: number; recovery?: { incident: number; error: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; giveUpAt: string }; createdAt: string; startedAt?: string; finishedAt?: string; version: number; position: string }
  }
  'GET /v1/executions/{id}/steps': {
    path: { id: string }
    query: { limit?: number | undefined; cursor?: string | undefined; superseded?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ path: string; name: string; kind: string; status: 'running' | 'completed' | 'failed' | 'retrying' | 'pending' | 'unknown'; executionAttempt: number; stepAttempt: number; input?: JsonValue; output?: JsonValue; error?: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; model?: string; inputTokens?: number; outputTokens?: number; costMicroCredits?: number; startedAt?: string; finishedAt?: string; durationMs?: number; superseded?: boolean })[]; nextCursor?: string }
  }
  'GET /v1/failures': {
    query: { limit?: number | undefined; cursor?: string | undefined; execution?: string | undefined; min_position?: string | undefined }
    answer: { items: { executionId: string; agent: string; code: string; detail: string; stepPath?: string; attempt: number; time: string; final: boolean }[]; nextCursor?: string }
  }
  'GET /v1/invitations': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; email?: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing'; status: 'open' | 'expired'; invitedBy: string; invitedAt: string; expiresAt: string })[]; nextCursor?: string }
  }
  'GET /v1/keys': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; name: string; environment: 'live' | 'test'; prefix: string; status: 'live' | 'expired' | 'revoked'; scopes: { permissions: ('executions:read' | 'executions:write' | 'workflows:read' | 'workflows:write' | 'checkpoints:read' | 'checkpoints:write' | 'recoveries:read' | 'recoveries:write' | 'models:use' | 'workers:connect' | 'platform:read' | 'webhooks:read' | 'webhooks:write' | 'members:read' | 'members:write' | 'keys:read' | 'keys:write' | 'tenant:read' | 'tenant:write' | 'billing:read' | 'billing:write' | 'audit:read' | 'tokens:write' | 'privacy:write' | 'sso:read' | 'sso:write')[]; workflows?: string[]; agents?: string[] }; ranges: string[]; hours: ({ days: ('mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun')[]; from: string; to: string; timeZone: string })[]; createdBy: string; createdAt: string; expiresAt?: string; lastUsedAt?: string; replaces?: string; successor?: string })[]; nextCursor?: string }
  }
  'GET /v1/keys/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; name: string; environment: 'live' | 'test'; prefix: string; status: 'live' | 'expired' | 'revoked'; scopes: { permissions: ('executions:read' | 'executions:write' | 'workflows:read' | 'workflows:write' | 'checkpoints:read' | 'checkpoints:write' | 'recoveries:read' | 'recoveries:write' | 'models:use' | 'workers:connect' | 'platform:read' | 'webhooks:read' | 'webhooks:write' | 'members:read' | 'members:write' | 'keys:read' | 'keys:write' | 'tenant:read' | 'tenant:write' | 'billing:read' | 'billing:write' | 'audit:read' | 'tokens:write' | 'privacy:write' | 'sso:read' | 'sso:write')[]; workflows?: string[]; agents?: string[] }; ranges: string[]; hours: ({ days: ('mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun')[]; from: string; to: string; timeZone: string })[]; createdBy: string; createdAt: string; expiresAt?: string; lastUsedAt?: string; replaces?: string; successor?: string }
  }
  'GET /v1/me': {
    query: { min_position?: string | undefined }
    answer: { tenant: string; actor: string; role?: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing'; permissions: ('executions:read' | 'executions:write' | 'workflows:read' | 'workflows:write' | 'checkpoints:read' | 'checkpoints:write' | 'recoveries:read' | 'recoveries:write' | 'models:use' | 'workers:connect' | 'platform:read' | 'webhooks:read' | 'webhooks:write' | 'members:read' | 'members:write' | 'keys:read' | 'keys:write' | 'tenant:read' | 'tenant:write' | 'billing:read' | 'billing:write' | 'audit:read' | 'tokens:write' | 'privacy:write' | 'sso:read' | 'sso:write')[]; limits?: { workflows: string[]; agents: string[] } }
  }
  'GET /v1/me/data': {
    query: { min_position?: string | undefined }
    answer: { userId: string; email?: string; name?: string; registeredAt: string; logins: { method: string; issuer: string; linkedAt: string }[]; memberships: ({ tenant: string; name: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing' })[]; invitations: ({ id: string; tenant: string; tenantName: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing'; expiresAt: string })[]; sessions: ({ sessionId: string; tenant: string; client: 'browser' | 'cli'; method: string; startedAt: string; refreshedAt: string; expiresAt: string })[] }
  }
  'GET /v1/me/invitations': {
    query: { min_position?: string | undefined }
    answer: { items: ({ id: string; tenant: string; tenantName: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing'; expiresAt: string })[] }
  }
  'GET /v1/members': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ userId: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing'; since: string; email?: string; name?: string })[]; nextCursor?: string }
  }
  'GET /v1/members/{userId}': {
    path: { userId: string }
    query: { min_position?: string | undefined }
    answer: { userId: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing'; since: string; email?: string; name?: string }
  }
  'GET /v1/privacy/erasures/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; status: 'erasing' | 'completed'; requestedBy: string; requestedAt: string; completedAt?: string; memberships: number; invitations: number }
  }
  'GET /v1/recoveries': {
    query: { status?: 'intervening' | 'planned' | 'escalated' | 'compensating' | 'recovering' | 'succeeded' | 'given_up' | 'dismissed' | undefined; class?: 'transient_provider' | 'rate_limit' | 'timeout' | 'tool_error' | 'bad_model_output' | 'context_length' | 'loop' | 'stall' | 'budget' | 'policy' | 'worker_crash' | 'poison_input' | 'code_bug' | 'credentials' | 'unknown_outcome' | 'platform' | undefined; fingerprint?: string | undefined; execution?: string | undefined; limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; executionId: string; agent: string; status: 'intervening' | 'planned' | 'escalated' | 'compensating' | 'recovering' | 'succeeded' | 'given_up' | 'dismissed'; class?: 'transient_provider' | 'rate_limit' | 'timeout' | 'tool_error' | 'bad_model_output' | 'context_length' | 'loop' | 'stall' | 'budget' | 'policy' | 'worker_crash' | 'poison_input' | 'code_bug' | 'credentials' | 'unknown_outcome' | 'platform'; classifiedBy?: string; fingerprint?: string; rootCause?: { executionId: string; agentId?: string; path?: string; code: string; detail: string; name?: string }; chain?: { executionId: string; agentId?: string; path?: string; code: string; detail: string; name?: string }[]; error?: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; step?: { path: string; name: string; kind: 'step' | 'llm' | 'tool' | 'value' | 'checkpoint' | 'wait' | 'approval' | 'child' }; plan?: { number: number; strategy: 'retry' | 'other_model' | 'smaller_context' | 'repair_prompt' | 'roll_back' | 'skip_with_default' | 'reassign' | 'compensate' | 'ask_person' | 'give_up'; action: { type: 'retry'; delayMs: number; overrides?: { models?: Record<string, string>; instructions?: string; maxInputTokens?: number }; rerun?: string[]; avoidWorker: boolean } | { type: 'roll_back'; toPath: string | null; delayMs: number; overrides?: { models?: Record<string, string>; instructions?: string; maxInputTokens?: number }; undone?: boolean } | { type: 'settle'; path: string; output: { inline: JsonValue } | { ref: { key: string; bytes: number; sha256: string } } } | { type: 'hold'; untilMs: number } | { type: 'give_up' } | { type: 'compensate'; agentId: string; afterwards: 'give_up' | 'roll_back'; timeoutMs: number; budgetMicroCredits?: number }; policy: { name: string; version: number } }; why?: string; attempts: number; costMicroCredits: number; until?: string; openedAt: string; updatedAt: string; closedAt?: string; recoveredInMs?: number; position: string })[]; nextCursor?: string }
  }
  'GET /v1/recoveries/groups': {
    query: { hours?: number | undefined; limit?: number | undefined; min_position?: string | undefined }
    answer: { items: ({ fingerprint: string; class: 'transient_provider' | 'rate_limit' | 'timeout' | 'tool_error' | 'bad_model_output' | 'context_length' | 'loop' | 'stall' | 'budget' | 'policy' | 'worker_crash' | 'poison_input' | 'code_bug' | 'credentials' | 'unknown_outcome' | 'platform'; agent: string; code: string; detail: string; incidents: number; open: number; recovered: number; runs: number; firstAt: string; lastAt: string })[] }
  }
  'GET /v1/recoveries/stats': {
    query: { hours?: number | undefined; fingerprint?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ class: 'transient_provider' | 'rate_limit' | 'timeout' | 'tool_error' | 'bad_model_output' | 'context_length' | 'loop' | 'stall' | 'budget' | 'policy' | 'worker_crash' | 'poison_input' | 'code_bug' | 'credentials' | 'unknown_outcome' | 'platform'; strategy: 'retry' | 'other_model' | 'smaller_context' | 'repair_prompt' | 'roll_back' | 'skip_with_default' | 'reassign' | 'compensate' | 'ask_person' | 'give_up'; tries: number; successes: number; successRate: number; recoveredInP50Ms?: number; recoveredInP99Ms?: number })[] }
  }
  'GET /v1/recoveries/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; executionId: string; agent: string; status: 'intervening' | 'planned' | 'escalated' | 'compensating' | 'recovering' | 'succeeded' | 'given_up' | 'dismissed'; class?: 'transient_provider' | 'rate_limit' | 'timeout' | 'tool_error' | 'bad_model_output' | 'context_length' | 'loop' | 'stall' | 'budget' | 'policy' | 'worker_crash' | 'poison_input' | 'code_bug' | 'credentials' | 'unknown_outcome' | 'platform'; classifiedBy?: string; fingerprint?: string; rootCause?: { executionId: string; agentId?: string; path?: string; code: string; detail: string; name?: string }; chain?: { executionId: string; agentId?: string; path?: string; code: string; detail: string; name?: string }[]; error?: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; step?: { path: string; name: string; kind: 'step' | 'llm' | 'tool' | 'value' | 'checkpoint' | 'wait' | 'approval' | 'child' }; plan?: { number: number; strategy: 'retry' | 'other_model' | 'smaller_context' | 'repair_prompt' | 'roll_back' | 'skip_with_default' | 'reassign' | 'compensate' | 'ask_person' | 'give_up'; action: { type: 'retry'; delayMs: number; overrides?: { models?: Record<string, string>; instructions?: string; maxInputTokens?: number }; rerun?: string[]; avoidWorker: boolean } | { type: 'roll_back'; toPath: string | null; delayMs: number; overrides?: { models?: Record<string, string>; instructions?: string; maxInputTokens?: number }; undone?: boolean } | { type: 'settle'; path: string; output: { inline: JsonValue } | { ref: { key: string; bytes: number; sha256: string } } } | { type: 'hold'; untilMs: number } | { type: 'give_up' } | { type: 'compensate'; agentId: string; afterwards: 'give_up' | 'roll_back'; timeoutMs: number; budgetMicroCredits?: number }; policy: { name: string; version: number } }; why?: string; attempts: number; costMicroCredits: number; until?: string; openedAt: string; updatedAt: string; closedAt?: string; recoveredInMs?: number; position: string; history: { id: string; type: string; version: number; time: string; actor: string; data: JsonValue }[] }
  }
  'GET /v1/recovery-policies': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ name: string; version: number; inForce: boolean; policy: { description?: string; models: string[]; limits: { attemptsPerIncident: number; attemptsPerRun: number; costMicroCreditsPerIncident?: number; costMicroCreditsPerRun?: number }; prefer: 'order' | 'best_observed'; rules: ({ when: { classes?: ('transient_provider' | 'rate_limit' | 'timeout' | 'tool_error' | 'bad_model_output' | 'context_length' | 'loop' | 'stall' | 'budget' | 'policy' | 'worker_crash' | 'poison_input' | 'code_bug' | 'credentials' | 'unknown_outcome' | 'platform')[]; codes?: string[]; steps?: string[]; agents?: string[]; fingerprints?: string[] }; try: ({ strategy: 'retry'; attempts: number; initialDelayMs: number; factor: number; maxDelayMs: number } | { strategy: 'other_model'; models?: string[] } | { strategy: 'smaller_context'; maxInputTokens: number[] } | { strategy: 'repair_prompt'; attempts: number; instructions?: string } | { strategy: 'roll_back'; to: 'last_good_step' | 'start'; attempts: number; instructions?: string } | { strategy: 'skip_with_default'; output: JsonValue } | { strategy: 'reassign'; attempts: number } | { strategy: 'compensate'; agent: string; afterwards: 'give_up' | 'roll_back'; timeoutMs: number; budgetMicroCredits?: number } | { strategy: 'ask_person'; timeoutMs: number } | { strategy: 'give_up' })[] })[]; loops: { repeats: number; window: number; withinMs: number } | null; stalls: { afterMs: number } | null }; note?: string; publishedBy?: string; publishedAt?: string })[]; nextCursor?: string }
  }
  'GET /v1/recovery-policies/{name}': {
    path: { name: string }
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ name: string; version: number; inForce: boolean; policy: { description?: string; models: string[]; limits: { attemptsPerIncident: number; attemptsPerRun: number; costMicroCreditsPerIncident?: number; costMicroCreditsPerRun?: number }; prefer: 'order' | 'best_observed'; rules: ({ when: { classes?: ('transient_provider' | 'rate_limit' | 'timeout' | 'tool_error' | 'bad_model_output' | 'context_length' | 'loop' | 'stall' | 'budget' | 'policy' | 'worker_crash' | 'poison_input' | 'code_bug' | 'credentials' | 'unknown_outcome' | 'platform')[]; codes?: string[]; steps?: string[]; agents?: string[]; fingerprints?: string[] }; try: ({ strategy: 'retry'; attempts: number; initialDelayMs: number; factor: number; maxDelayMs: number } | { strategy: 'other_model'; models?: string[] } | { strategy: 'smaller_context'; maxInputTokens: number[] } | { strategy: 'repair_prompt'; attempts: number; instructions?: string } | { strategy: 'roll_back'; to: 'last_good_step' | 'start'; attempts: number; instructions?: string } | { strategy: 'skip_with_default'; output: JsonValue } | { strategy: 'reassign'; attempts: number } | { strategy: 'compensate'; agent: string; afterwards: 'give_up' | 'roll_back'; timeoutMs: number; budgetMicroCredits?: number } | { strategy: 'ask_person'; timeoutMs: number } | { strategy: 'give_up' })[] })[]; loops: { repeats: number; window: number; withinMs: number } | null; stalls: { afterMs: number } | null }; note?: string; publishedBy?: string; publishedAt?: string })[]; nextCursor?: string }
  }
  'GET /v1/replays/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; runs: ({ of: string; executionId: string; status: 'awaiting_permit' | 'queued' | 'running' | 'suspended' | 'paused' | 'recovering' | 'completed' | 'failed' | 'cancelled'; outcome: 'same' | 'different' | 'failed' | 'missed' | 'over_budget' | 'running'; error?: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue }; modelCalls: { was: number; is: number; delta: number }; costMicroCredits: { was: number; is: number; delta: number }; modelMs: { was: number; is: number; delta: number } })[]; outcomes: Record<string, number>; total: { modelCalls: { was: number; is: number; delta: number }; costMicroCredits: { was: number; is: number; delta: number }; modelMs: { was: number; is: number; delta: number } } }
  }
  'GET /v1/schedules': {
    query: { limit?: number | undefined; cursor?: string | undefined; workflow?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; workflow: string; version?: number; cron: string; timezone: string; overlap: 'skip' | 'queue' | 'cancel_previous' | 'allow'; catchUp: { policy: 'none' | 'last' | 'all'; limit: number; graceMs: number }; status: 'active' | 'paused'; nextAt?: string; lastFiredAt?: string; fired: number; skipped: number; position: string })[]; nextCursor?: string }
  }
  'GET /v1/schedules/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; workflow: string; version?: number; cron: string; timezone: string; overlap: 'skip' | 'queue' | 'cancel_previous' | 'allow'; catchUp: { policy: 'none' | 'last' | 'all'; limit: number; graceMs: number }; status: 'active' | 'paused'; nextAt?: string; lastFiredAt?: string; fired: number; skipped: number; position: string }
  }
  'GET /v1/schedules/{id}/firings': {
    path: { id: string }
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ nominalAt: string; outcome: 'fired' | 'queued' | 'skipped'; reason?: string; count: number; runId?: string; end?: { status: 'completed' | 'failed' | 'cancelled' | 'refused'; code?: string; detail?: string } })[]; nextCursor?: string }
  }
  'GET /v1/sso/connections': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; name: string; status: 'draft' | 'active' | 'disabled'; domains: { domain: string; verified: boolean }[]; settings: { kind: 'oidc'; issuer: string; clientId: string; hasSecret: boolean; scopes: string[]; redirectUri: string } | { kind: 'saml'; entityId: string; ssoUrl: string; certificates: { pem: string; subject: string; expiresAt: string }[]; emailAttribute?: string; nameAttribute?: string; idpInitiated: boolean; serviceProvider: { entityId: string; acsUrl: string; metadataUrl: string; certificate: string } }; rules: ({ attribute: string; value: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing' })[]; defaultRole?: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing'; createdAt: string; changedAt: string; lastTest?: { at: string; outcome: string } })[]; nextCursor?: string }
  }
  'GET /v1/sso/connections/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; name: string; status: 'draft' | 'active' | 'disabled'; domains: { domain: string; verified: boolean }[]; settings: { kind: 'oidc'; issuer: string; clientId: string; hasSecret: boolean; scopes: string[]; redirectUri: string } | { kind: 'saml'; entityId: string; ssoUrl: string; certificates: { pem: string; subject: string; expiresAt: string }[]; emailAttribute?: string; nameAttribute?: string; idpInitiated: boolean; serviceProvider: { entityId: string; acsUrl: string; metadataUrl: string; certificate: string } }; rules: ({ attribute: string; value: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing' })[]; defaultRole?: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing'; createdAt: string; changedAt: string; lastTest?: { at: string; outcome: string } }
  }
  'GET /v1/sso/policy': {
    query: { min_position?: string | undefined }
    answer: { required: boolean }
  }
  'GET /v1/stream': {
    answer: never
  }
  'GET /v1/tenant': {
    query: { min_position?: string | undefined }
    answer: { id: string; name: string; ranges: string[]; hours: ({ days: ('mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun')[]; from: string; to: string; timeZone: string })[]; mfaRequired: boolean; foundedAt: string }
  }
  'GET /v1/threads/{thread}/retention': {
    path: { thread: string }
    query: { min_position?: string | undefined }
    answer: { retention: { keepLast?: number; maxAgeMs?: number } }
  }
  'GET /v1/triggers': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; workflow: string; version?: number; source: { type: string; topic?: string; workflow?: string }; filter?: string; status: 'active' | 'paused'; fired: number; ignored: number; lastFiredAt?: string; position: string })[]; nextCursor?: string }
  }
  'GET /v1/triggers/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; workflow: string; version?: number; source: { type: string; topic?: string; workflow?: string }; filter?: string; status: 'active' | 'paused'; fired: number; ignored: number; lastFiredAt?: string; position: string }
  }
  'GET /v1/webhooks': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; url: string; types: ('execution.completed' | 'execution.failed' | 'execution.cancelled' | 'execution.waiting' | 'recovery.person_asked' | 'recovery.gave_up' | 'budget.exceeded')[]; filter?: { workflows?: string[]; agents?: string[] }; description?: string; status: 'enabled' | 'disabled'; disabled?: { reason: 'requested' | 'gone' | 'failing'; detail?: string }; failingSince?: string; previousSecretUntil?: string; createdBy: string; createdAt: string; updatedAt: string; position: string })[]; nextCursor?: string }
  }
  'GET /v1/webhooks/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; url: string; types: ('execution.completed' | 'execution.failed' | 'execution.cancelled' | 'execution.waiting' | 'recovery.person_asked' | 'recovery.gave_up' | 'budget.exceeded')[]; filter?: { workflows?: string[]; agents?: string[] }; description?: string; status: 'enabled' | 'disabled'; disabled?: { reason: 'requested' | 'gone' | 'failing'; detail?: string }; failingSince?: string; previousSecretUntil?: string; createdBy: string; createdAt: string; updatedAt: string; position: string }
  }
  'GET /v1/webhooks/{id}/deliveries': {
    path: { id: string }
    query: { limit?: number | undefined; cursor?: string | undefined; status?: 'pending' | 'delivered' | 'dead' | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; type: 'execution.completed' | 'execution.failed' | 'execution.cancelled' | 'execution.waiting' | 'recovery.person_asked' | 'recovery.gave_up' | 'budget.exceeded' | 'webhook.test'; origin: 'event' | 'replay' | 'redelivery' | 'test'; status: 'pending' | 'delivered' | 'dead'; attempts: number; occurredAt: string; requestedAt: string; nextAt?: string; settledAt?: string; lastStatus?: number; why?: string })[]; nextCursor?: string }
  }
  'GET /v1/webhooks/{id}/deliveries/{delivery}': {
    path: { id: string; delivery: string }
    query: { min_position?: string | undefined }
    answer: { id: string; type: 'execution.completed' | 'execution.failed' | 'execution.cancelled' | 'execution.waiting' | 'recovery.person_asked' | 'recovery.gave_up' | 'budget.exceeded' | 'webhook.test'; origin: 'event' | 'replay' | 'redelivery' | 'test'; status: 'pending' | 'delivered' | 'dead'; attempts: number; occurredAt: string; requestedAt: string; nextAt?: string; settledAt?: string; lastStatus?: number; why?: string; body: string; history: ({ at: string; tookMs: number; status?: number; answer?: string; error?: string; result: 'delivered' | 'retrying' | 'dead' })[] }
  }
  'GET /v1/webhooks/{id}/replays': {
    path: { id: string }
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; from: string; to: string; types?: ('execution.completed' | 'execution.failed' | 'execution.cancelled' | 'execution.waiting' | 'recovery.person_asked' | 'recovery.gave_up' | 'budget.exceeded')[]; status: 'running' | 'finished' | 'stopped'; found?: number; requestedBy: string; requestedAt: string; finishedAt?: string })[]; nextCursor?: string }
  }
  'GET /v1/workflow-templates': {
    query: { min_position?: string | undefined }
    answer: { items: { id: string; name: string; description: string; agents: string[]; definition: JsonValue; example: JsonValue }[]; nextCursor?: string }
  }
  'GET /v1/workflows': {
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: { id: string; name: string; description?: string; publishedVersion?: number; latestVersion: number; activeRuns: number; createdAt: string; updatedAt: string; position: string }[]; nextCursor?: string }
  }
  'GET /v1/workflows/{id}': {
    path: { id: string }
    query: { min_position?: string | undefined }
    answer: { id: string; name: string; description?: string; publishedVersion?: number; latestVersion: number; activeRuns: number; createdAt: string; updatedAt: string; position: string; versions: ({ version: number; status: 'draft' | 'published' | 'deprecated'; hash: string; createdAt: string; createdBy: string; publishedAt?: string; deprecatedAt?: string })[] }
  }
  'GET /v1/workflows/{id}/runs': {
    path: { id: string }
    query: { limit?: number | undefined; cursor?: string | undefined; min_position?: string | undefined }
    answer: { items: ({ id: string; workflow: string; version: number; source: { type: 'request' } | { type: 'schedule'; scheduleId: string; nominalAt: number } | { type: 'trigger'; triggerId: string; eventId: string; chain?: number }; status: 'requested' | 'started' | 'completed' | 'failed' | 'cancelled' | 'refused'; end?: { status: 'completed' | 'failed' | 'cancelled' | 'refused'; code?: string; detail?: string }; requestedAt: string; endedAt?: string })[]; nextCursor?: string }
  }
  'GET /v1/workflows/{id}/versions/{version}': {
    path: { id: string; version: number }
    query: { min_position?: string | undefined }
    answer: { version: number; status: 'draft' | 'published' | 'deprecated'; hash: string; createdAt: string; createdBy: string; publishedAt?: string; deprecatedAt?: string; id: string; definition: JsonValue }
  }
  'PATCH /v1/members/{userId}': {
    path: { userId: string }
    body: { role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing' }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'PATCH /v1/tenant': {
    body: { name?: string | undefined; ranges?: readonly string[] | undefined; hours?: readonly ({ days: readonly ('mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun')[]; from: string; to: string; timeZone: string })[] | undefined; mfaRequired?: boolean | undefined }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'PATCH /v1/webhooks/{id}': {
    path: { id: string }
    body: { url?: string | undefined; types?: readonly ('execution.completed' | 'execution.failed' | 'execution.cancelled' | 'execution.waiting' | 'recovery.person_asked' | 'recovery.gave_up' | 'budget.exceeded')[] | undefined; filter?: { workflows?: readonly string[] | undefined; agents?: readonly string[] | undefined } | null | undefined; description?: string | null | undefined }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'POST /v1/checkpoints': {
    body: { thread: string; id?: string | undefined; namespace?: string | undefined; parent?: string | undefined; needsParent?: boolean | undefined; label?: string | undefined; metadata?: Record<string, string | number | boolean | null> | undefined; state: { json: unknown } | { format: string; base64: string } }
    answer: { thread: string; checkpoint: string; position: string; deduplicated: boolean }
  }
  'POST /v1/checkpoints/{thread}/{id}/pin': {
    path: { thread: string; id: string }
    query: { namespace?: string | undefined }
    body: { holder: string }
    answer: { thread: string; checkpoint: string; position: string; deduplicated: boolean }
  }
  'POST /v1/checkpoints/{thread}/{id}/rollback': {
    path: { thread: string; id: string }
    query: { namespace?: string | undefined }
    body?: { reason?: string | undefined } | null
    answer: { thread: string; checkpoint: string; position: string; execution?: string }
  }
  'POST /v1/checkpoints/{thread}/{id}/unpin': {
    path: { thread: string; id: string }
    query: { namespace?: string | undefined }
    body: { holder: string }
    answer: { thread: string; checkpoint: string; position: string; deduplicated: boolean }
  }
  'POST /v1/checkpoints/{thread}/{id}/verify': {
    path: { thread: string; id: string }
    query: { namespace?: string | undefined }
    answer: { intact: boolean; found?: 'missing' | 'damaged'; rebuilt: boolean }
  }
  'POST /v1/checkpoints/{thread}/{id}/writes': {
    path: { thread: string; id: string }
    query: { namespace?: string | undefined }
    body: { taskId: string; taskPath?: string | undefined; writes: readonly { index: number; channel: string }[]; state: { json: unknown } | { format: string; base64: string } }
    answer: { thread: string; checkpoint: string; position: string; deduplicated: boolean }
  }
  'POST /v1/domains': {
    body: { domain: string }
    answer: { position: string; deduplicated: boolean; id: string; record: { type: 'TXT'; name: string; value: string } }
  }
  'POST /v1/domains/{domain}/verify': {
    path: { domain: string }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'POST /v1/executions': {
    body: { agent: string; input?: unknown | undefined; id?: string | undefined; options?: { priority?: number | undefined; timeoutMs?: number | undefined; retry?: { maxAttempts: number; initialDelayMs: number; backoff: number; maxDelayMs: number; jitter: number; nonRetryable: readonly string[] } | undefined; concurrency?: { key: string; limit: number } | undefined; budgetMicroCredits?: number | undefined; labels?: Record<string, string> | undefined; recovery?: { policy: string } | undefined; simulate?: boolean | undefined; checkpoints?: { every?: 'step' | 'task' | 'never' | undefined; everyMs?: number | undefined; beforeEffects?: boolean | undefined } | undefined } | undefined }
    answer: { executionId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/executions/{id}/approvals': {
    path: { id: string }
    body: { path: string; decision: 'approved' | 'rejected'; comment?: string | undefined }
    answer: { executionId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/executions/{id}/cancel': {
    path: { id: string }
    body?: { reason?: string | undefined } | null
    answer: { executionId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/executions/{id}/fork': {
    path: { id: string }
    body: { id?: string | undefined; toPath?: string | null | undefined; input?: unknown | undefined; outputs?: readonly { path: string; output: unknown }[] | undefined; overrides?: { models?: Record<string, string> | undefined; instructions?: string | undefined; maxInputTokens?: number | undefined } | undefined; agent?: string | undefined; options?: { priority?: number | undefined; timeoutMs?: number | undefined; retry?: { maxAttempts: number; initialDelayMs: number; backoff: number; maxDelayMs: number; jitter: number; nonRetryable: readonly string[] } | undefined; concurrency?: { key: string; limit: number } | undefined; budgetMicroCredits?: number | undefined; labels?: Record<string, string> | undefined; recovery?: { policy: string } | undefined; simulate?: boolean | undefined; checkpoints?: { every?: 'step' | 'task' | 'never' | undefined; everyMs?: number | undefined; beforeEffects?: boolean | undefined } | undefined } | undefined }
    answer: { executionId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/executions/{id}/fork/preview': {
    path: { id: string }
    body: { id?: string | undefined; toPath?: string | null | undefined; input?: unknown | undefined; outputs?: readonly { path: string; output: unknown }[] | undefined; overrides?: { models?: Record<string, string> | undefined; instructions?: string | undefined; maxInputTokens?: number | undefined } | undefined; agent?: string | undefined; options?: { priority?: number | undefined; timeoutMs?: number | undefined; retry?: { maxAttempts: number; initialDelayMs: number; backoff: number; maxDelayMs: number; jitter: number; nonRetryable: readonly string[] } | undefined; concurrency?: { key: string; limit: number } | undefined; budgetMicroCredits?: number | undefined; labels?: Record<string, string> | undefined; recovery?: { policy: string } | undefined; simulate?: boolean | undefined; checkpoints?: { every?: 'step' | 'task' | 'never' | undefined; everyMs?: number | undefined; beforeEffects?: boolean | undefined } | undefined } | undefined }
    answer: { toPath: string | null; kept: { steps: number; modelCalls: number; inputTokens: number; outputTokens: number; costMicroCredits: number; durationMs: number }; again: { steps: number; modelCalls: number; inputTokens: number; outputTokens: number; costMicroCredits: number; durationMs: number }; steps: { path: string; name: string; kind: string; effect: boolean; costMicroCredits: number; durationMs: number }[]; effects: { path: string; name: string }[]; children: { path: string; executionId: string }[]; edited: string[] }
  }
  'POST /v1/executions/{id}/pause': {
    path: { id: string }
    body?: { reason?: string | undefined } | null
    answer: { executionId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/executions/{id}/resolve': {
    path: { id: string }
    body: { path: string; resolution: { status: 'completed'; output: unknown } | { status: 'failed'; detail: string } | { status: 'retry' }; comment?: string | undefined }
    answer: { executionId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/executions/{id}/resume': {
    path: { id: string }
    answer: { executionId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/executions/{id}/rollback': {
    path: { id: string }
    body: { toPath: string | null; reason?: string | undefined; overrides?: { models?: Record<string, string> | undefined; instructions?: string | undefined; maxInputTokens?: number | undefined } | undefined }
    answer: { executionId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/executions/{id}/rollback/preview': {
    path: { id: string }
    body: { toPath: string | null }
    answer: { toPath: string | null; kept: { steps: number; modelCalls: number; inputTokens: number; outputTokens: number; costMicroCredits: number; durationMs: number }; again: { steps: number; modelCalls: number; inputTokens: number; outputTokens: number; costMicroCredits: number; durationMs: number }; steps: { path: string; name: string; kind: string; effect: boolean; costMicroCredits: number; durationMs: number }[]; effects: { path: string; name: string }[]; children: { path: string; executionId: string }[]; edited: string[] }
  }
  'POST /v1/executions/{id}/signals': {
    path: { id: string }
    body: { name: string; payload?: unknown | undefined; id?: string | undefined }
    answer: { executionId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/hooks/{tenant}/{id}': {
    path: { tenant: string; id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'POST /v1/invitations': {
    body: { email: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing' }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'POST /v1/keys': {
    body: { name: string; scopes: { permissions: readonly ('executions:read' | 'executions:write' | 'workflows:read' | 'workflows:write' | 'checkpoints:read' | 'checkpoints:write' | 'recoveries:read' | 'recoveries:write' | 'models:use' | 'workers:connect' | 'platform:read' | 'webhooks:read' | 'webhooks:write' | 'members:read' | 'members:write' | 'keys:read' | 'keys:write' | 'tenant:read' | 'tenant:write' | 'billing:read' | 'billing:write' | 'audit:read' | 'tokens:write' | 'privacy:write' | 'sso:read' | 'sso:write')[]; workflows?: readonly string[] | undefined; agents?: readonly string[] | undefined }; expiresAt?: string | undefined; ranges?: readonly string[] | undefined; hours?: readonly ({ days: readonly ('mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun')[]; from: string; to: string; timeZone: string })[] | undefined }
    answer: { position: string; deduplicated: boolean; id: string; prefix: string; key: string }
  }
  'POST /v1/keys/verify': {
    body: { key: string }
    answer: { valid: boolean; id?: string; scopes?: { permissions: ('executions:read' | 'executions:write' | 'workflows:read' | 'workflows:write' | 'checkpoints:read' | 'checkpoints:write' | 'recoveries:read' | 'recoveries:write' | 'models:use' | 'workers:connect' | 'platform:read' | 'webhooks:read' | 'webhooks:write' | 'members:read' | 'members:write' | 'keys:read' | 'keys:write' | 'tenant:read' | 'tenant:write' | 'billing:read' | 'billing:write' | 'audit:read' | 'tokens:write' | 'privacy:write' | 'sso:read' | 'sso:write')[]; workflows?: string[]; agents?: string[] } }
  }
  'POST /v1/keys/{id}/rotate': {
    path: { id: string }
    body?: { overlapMs?: number | undefined; expiresAt?: string | undefined } | null
    answer: { position: string; deduplicated: boolean; id: string; prefix: string; key: string }
  }
  'POST /v1/me/invitations/{tenant}/{id}/accept': {
    path: { tenant: string; id: string }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'POST /v1/privacy/erasures': {
    body: { userId?: string | undefined; email?: string | undefined }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'POST /v1/recoveries/{id}/decide': {
    path: { id: string }
    body: { action: { type: 'retry'; delayMs?: number | undefined; overrides?: { models?: Record<string, string> | undefined; instructions?: string | undefined; maxInputTokens?: number | undefined } | undefined; rerun?: readonly string[] | undefined; avoidWorker?: boolean | undefined } | { type: 'roll_back'; toPath: string | null; delayMs?: number | undefined; overrides?: { models?: Record<string, string> | undefined; instructions?: string | undefined; maxInputTokens?: number | undefined } | undefined; undone?: boolean | undefined } | { type: 'settle'; path?: string | undefined; output: unknown } | { type: 'hold'; untilMs: number } | { type: 'give_up' } | { type: 'compensate'; agentId: string; afterwards?: 'give_up' | 'roll_back' | undefined; timeoutMs?: number | undefined; budgetMicroCredits?: number | undefined }; reason?: string | undefined }
    answer: { incidentId: string; position: string; deduplicated: boolean }
  }
  'POST /v1/recovery-policies/validate': {
    body: { policy: unknown }
    answer: { valid: boolean; policy?: { description?: string; models: string[]; limits: { attemptsPerIncident: number; attemptsPerRun: number; costMicroCreditsPerIncident?: number; costMicroCreditsPerRun?: number }; prefer: 'order' | 'best_observed'; rules: ({ when: { classes?: ('transient_provider' | 'rate_limit' | 'timeout' | 'tool_error' | 'bad_model_output' | 'context_length' | 'loop' | 'stall' | 'budget' | 'policy' | 'worker_crash' | 'poison_input' | 'code_bug' | 'credentials' | 'unknown_outcome' | 'platform')[]; codes?: string[]; steps?: string[]; agents?: string[]; fingerprints?: string[] }; try: ({ strategy: 'retry'; attempts: number; initialDelayMs: number; factor: number; maxDelayMs: number } | { strategy: 'other_model'; models?: string[] } | { strategy: 'smaller_context'; maxInputTokens: number[] } | { strategy: 'repair_prompt'; attempts: number; instructions?: string } | { strategy: 'roll_back'; to: 'last_good_step' | 'start'; attempts: number; instructions?: string } | { strategy: 'skip_with_default'; output: JsonValue } | { strategy: 'reassign'; attempts: number } | { strategy: 'compensate'; agent: string; afterwards: 'give_up' | 'roll_back'; timeoutMs: number; budgetMicroCredits?: number } | { strategy: 'ask_person'; timeoutMs: number } | { strategy: 'give_up' })[] })[]; loops: { repeats: number; window: number; withinMs: number } | null; stalls: { afterMs: number } | null }; errors: { path: string; message: string }[]; warnings: { path: string; message: string }[] }
  }
  'POST /v1/replays': {
    body: { id?: string | undefined; runs: { ids: readonly string[] } | { agent: string; status?: 'awaiting_permit' | 'queued' | 'running' | 'suspended' | 'paused' | 'recovering' | 'completed' | 'failed' | 'cancelled' | undefined; last?: number | undefined }; from?: { step: number } | { path: string } | undefined; outputs?: readonly { path: string; output: unknown }[] | undefined; overrides?: { models?: Record<string, string> | undefined; instructions?: string | undefined; maxInputTokens?: number | undefined } | undefined; agent?: string | undefined; budget?: { perRunMicroCredits?: number | undefined; totalMicroCredits?: number | undefined } | undefined }
    answer: { id: string; started: { of: string; executionId: string }[]; refused: { of: string; error: { code: ErrorCode; detail: string; retryable: boolean; cause?: { name: string; message: string; stack?: string }; data?: JsonValue } }[] }
  }
  'POST /v1/schedules/{id}/pause': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'POST /v1/schedules/{id}/resume': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'POST /v1/service-tokens': {
    body: { audience: 'gateway' | 'models' | 'engine'; permissions: readonly ('executions:read' | 'executions:write' | 'workflows:read' | 'workflows:write' | 'checkpoints:read' | 'checkpoints:write' | 'recoveries:read' | 'recoveries:write' | 'models:use' | 'workers:connect' | 'platform:read' | 'webhooks:read' | 'webhooks:write' | 'members:read' | 'members:write' | 'keys:read' | 'keys:write' | 'tenant:read' | 'tenant:write' | 'billing:read' | 'billing:write' | 'audit:read' | 'tokens:write' | 'privacy:write' | 'sso:read' | 'sso:write')[] }
    answer: { token: string; audience: 'gateway' | 'models' | 'engine'; permissions: ('executions:read' | 'executions:write' | 'workflows:read' | 'workflows:write' | 'checkpoints:read' | 'checkpoints:write' | 'recoveries:read' | 'recoveries:write' | 'models:use' | 'workers:connect' | 'platform:read' | 'webhooks:read' | 'webhooks:write' | 'members:read' | 'members:write' | 'keys:read' | 'keys:write' | 'tenant:read' | 'tenant:write' | 'billing:read' | 'billing:write' | 'audit:read' | 'tokens:write' | 'privacy:write' | 'sso:read' | 'sso:write')[]; expiresAt: string }
  }
  'POST /v1/sso/connections': {
    body: { name: string; domains?: readonly string[] | undefined; settings: { kind: 'oidc'; issuer: string; clientId: string; clientSecret?: string | undefined; scopes?: readonly string[] | undefined } | { kind: 'saml'; entityId: string; ssoUrl: string; certificates: readonly string[]; emailAttribute?: string | undefined; nameAttribute?: string | undefined; idpInitiated?: boolean | undefined }; rules?: readonly ({ attribute: string; value: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing' })[] | undefined; defaultRole?: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing' | undefined }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'POST /v1/sso/connections/{id}/activate': {
    path: { id: string }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'POST /v1/sso/connections/{id}/disable': {
    path: { id: string }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'POST /v1/sso/connections/{id}/test': {
    path: { id: string }
    answer: { url: string; expiresAt: string }
  }
  'POST /v1/sso/metadata': {
    body: { xml: string } | { url: string }
    answer: { entityId: string; ssoUrl: string; certificates: { pem: string; subject: string; expiresAt: string }[] }
  }
  'POST /v1/tenants': {
    body: { name: string }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'POST /v1/threads/{thread}/delete': {
    path: { thread: string }
    body: { checkpoints: readonly ({ namespace?: string | undefined; id: string })[] }
    answer: { thread: string; position: string; deduplicated: boolean }
  }
  'POST /v1/triggers/{id}/pause': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'POST /v1/triggers/{id}/resume': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'POST /v1/webhooks': {
    body: { url: string; types: readonly ('execution.completed' | 'execution.failed' | 'execution.cancelled' | 'execution.waiting' | 'recovery.person_asked' | 'recovery.gave_up' | 'budget.exceeded')[]; filter?: { workflows?: readonly string[] | undefined; agents?: readonly string[] | undefined } | undefined; description?: string | undefined }
    answer: { id: string; position: string; deduplicated: boolean; secret: string }
  }
  'POST /v1/webhooks/{id}/deliveries/{delivery}/redeliver': {
    path: { id: string; delivery: string }
    answer: { id: string; position: string; deduplicated: boolean; delivery: string }
  }
  'POST /v1/webhooks/{id}/disable': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'POST /v1/webhooks/{id}/enable': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'POST /v1/webhooks/{id}/replay': {
    path: { id: string }
    body: { from: string; to?: string | undefined; types?: readonly ('execution.completed' | 'execution.failed' | 'execution.cancelled' | 'execution.waiting' | 'recovery.person_asked' | 'recovery.gave_up' | 'budget.exceeded')[] | undefined }
    answer: { id: string; position: string; deduplicated: boolean; replay: string }
  }
  'POST /v1/webhooks/{id}/rotate': {
    path: { id: string }
    body?: { overlapMs?: number | undefined } | null
    answer: { id: string; position: string; deduplicated: boolean; secret: string }
  }
  'POST /v1/webhooks/{id}/test': {
    path: { id: string }
    answer: { id: string; position: string; deduplicated: boolean; delivery: string }
  }
  'POST /v1/workers/connect': {
    answer: { token: string; expiresAt: string; endpoints: string[] }
  }
  'POST /v1/workflows/validate': {
    body: { id?: string | undefined; definition: unknown }
    answer: { valid: boolean; problems: ({ pointer: string; code: 'schema' | 'unknown_agent' | 'unknown_model' | 'unknown_workflow' | 'unknown_node' | 'cycle' | 'unreachable' | 'missing_input' | 'type_mismatch' | 'expression' | 'limit' | 'cron'; message: string; expected?: string; suggestion?: string; severity: 'error' | 'warning' })[] }
  }
  'POST /v1/workflows/{id}': {
    path: { id: string }
    body: { definition: unknown; publish?: boolean | undefined }
    answer: { id: string; position: string; deduplicated: boolean; version: number }
  }
  'POST /v1/workflows/{id}/runs': {
    path: { id: string }
    body: { parameters?: unknown | undefined; version?: number | undefined; id?: string | undefined; options?: { priority?: number | undefined; timeoutMs?: number | undefined; budgetMicroCredits?: number | undefined } | undefined }
    answer: { id: string; position: string; deduplicated: boolean; executionId: string; executionPosition?: string }
  }
  'POST /v1/workflows/{id}/versions/{version}/deprecate': {
    path: { id: string; version: number }
    body?: { reason?: string | undefined } | null
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'POST /v1/workflows/{id}/versions/{version}/publish': {
    path: { id: string; version: number }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'PUT /v1/recovery-policies/{name}': {
    path: { name: string }
    body: { policy: unknown; note?: string | undefined; expectedVersion?: number | undefined }
    answer: { name: string; position: string; deduplicated: boolean; warnings: { path: string; message: string }[] }
  }
  'PUT /v1/schedules/{id}': {
    path: { id: string }
    body: { workflow: string; version?: number | undefined; cron: string; timezone?: string | undefined; parameters?: unknown | undefined; overlap?: 'skip' | 'queue' | 'cancel_previous' | 'allow' | undefined; catchUp?: { policy?: 'none' | 'last' | 'all' | undefined; limit?: number | undefined; graceMs?: number | undefined } | undefined; startAt?: string | undefined; endAt?: string | undefined; options?: { priority?: number | undefined; timeoutMs?: number | undefined; budgetMicroCredits?: number | undefined } | undefined }
    answer: { id: string; position: string; deduplicated: boolean }
  }
  'PUT /v1/sso/connections/{id}': {
    path: { id: string }
    body: { name: string; domains?: readonly string[] | undefined; settings: { kind: 'oidc'; issuer: string; clientId: string; clientSecret?: string | undefined; scopes?: readonly string[] | undefined } | { kind: 'saml'; entityId: string; ssoUrl: string; certificates: readonly string[]; emailAttribute?: string | undefined; nameAttribute?: string | undefined; idpInitiated?: boolean | undefined }; rules?: readonly ({ attribute: string; value: string; role: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing' })[] | undefined; defaultRole?: 'owner' | 'admin' | 'developer' | 'operator' | 'viewer' | 'billing' | undefined }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'PUT /v1/sso/policy': {
    body: { required: boolean }
    answer: { position: string; deduplicated: boolean; id: string }
  }
  'PUT /v1/threads/{thread}/retention': {
    path: { thread: string }
    body: { keepLast?: number | undefined; maxAgeMs?: number | undefined }
    answer: { thread: string; position: string; deduplicated: boolean }
  }
  'PUT /v1/triggers/{id}': {
    path: { id: string }
    body: { workflow: string; version?: number | undefined; source: { type: 'webhook' } | { type: 'topic'; topic: string } | { type: 'workflow'; workflow: string; on: readonly ('completed' | 'failed' | 'cancelled')[] }; filter?: string | undefined; parameters?: unknown | undefined; options?: { priority?: number | undefined; timeoutMs?: number | undefined; budgetMicroCredits?: number | undefined } | undefined }
    answer: { id: string; position: string; deduplicated: boolean; secret?: string; url?: string }
  }
}
