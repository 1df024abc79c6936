import { z } from 'zod'
import { failure } from './errors.ts'
import {
  agentDefinition,
  executionOptions,
  recordedKind,
  retryPolicy,
  runOverrides,
  stepPath,
  usage,
} from './execution/model.ts'
import { callerId, name } from './ids.ts'
import { jsonValue } from './json.ts'

/**
 * The worker protocol, version 1: how a process that runs agent code talks to the engine that owns executions.
 *
 * Transport: one WebSocket to each engine process (subprotocol `omium.worker.v1`), opened by the worker. A frame is a
 * JSON array of messages, so that many share one write. Within one execution messages are handled and answered in order.
 *
 * Invariants:
 * 1. A result counts when the engine has acknowledged it, which it does only after its event was accepted on the log.
 * 2. Everything about one execution carries its attempt number; messages of an older attempt are refused (`attempt_fenced`).
 * 3. `ack`, `nack` and `resolve` of one execution arrive in log order. A worker releases results to user code in that
 *    order, and on replay in the order of the journal, which is the same.
 * 4. Payloads travel whole; the engine moves large ones to and from object storage.
 */
export const workerProtocolVersion = 1
export const workerSubprotocol = 'omium.worker.v1'

/** A recorded entry of the journal, as a worker replays it. Settled entries come in the order of settlement, then the open ones. */
const entryBase = { path: stepPath, requestHash: z.string().max(64) }
export const journalEntry = z.discriminatedUnion('status', [
  /** a finished step, a fired timer (`value` null), a received signal (its payload), an approval, a finished child, ... */
  z.object({ ...entryBase, status: z.literal('completed'), kind: z.string(), value: jsonValue }),
  z.object({ ...entryBase, status: z.literal('failed'), kind: z.string(), error: failure }),
  /** started, not settled: a timer that has not fired, a wait, an approval, a child. Do not send it again; await `resolve` */
  z.object({ ...entryBase, status: z.literal('pending'), kind: z.string() }),
  /** a step that failed and may be tried again as `stepAttempt` at `retryAt` (ms since the epoch) */
  z.object({
    ...entryBase,
    status: z.literal('retrying'),
    kind: z.string(),
    stepAttempt: z.number().int().positive(),
    retryAt: z.number(),
  }),
  /** an effect whose outcome is not known: reconcile it, or await `resolve` */
  z.object({
    ...entryBase,
    status: z.literal('unknown'),
    kind: z.string(),
    stepAttempt: z.number().int().positive(),
    idempotencyKey: z.string(),
  }),
])
export type JournalEntry = z.infer<typeof journalEntry>

/** The request hash of an entry that a person or an edit put there: it fits whatever the code asks for at its path. */
export const anyRequest = '*'

/** A recorded call that a simulated run may be answered from; exactly one of `value` and `error` is set. */
export const recording = z.object({
  name: z.string(),
  kind: z.string(),
  path: stepPath,
  requestHash: z.string().max(64),
  value: jsonValue.optional(),
  error: failure.optional(),
})
export type Recording = z.infer<typeof recording>

/** `decision` as the value of an approval's journal entry. */
export const approvalValue = z.object({
  approved: z.boolean(),
  by: z.string(),
  comment: z.string().optional(),
  timedOut: z.boolean().optional(),
})
export type ApprovalValue = z.infer<typeof approvalValue>
/** Value of a wait's journal entry. */
export const waitValue = z.union([
  z.object({ timedOut: z.literal(true) }),
  z.object({ timedOut: z.literal(false), payload: jsonValue }),
])
export type WaitValue = z.infer<typeof waitValue>

const run = { executionId: callerId, attempt: z.number().int().positive() }
/** `seq` counts the requests of one attempt from 1; its `ack` or `nack` carries the same number */
const request = { ...run, seq: z.number().int().positive() }
const step = {
  path: stepPath,
  name: z.string().min(1).max(200),
  /** `wait`, `approval` and `child` only in a simulated run, which answers them from recordings */
  kind: recordedKind,
  stepAttempt: z.number().int().positive(),
  requestHash: z.string().max(64),
  input: jsonValue.optional(),
}

export const workerMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    protocol: z.number().int(),
    /** short-lived token from POST /v1/workers/connect */
    token: z.string(),
    workerId: z.string().min(1).max(200),
    runtime: z.string().max(200),
    agents: z.array(agentDefinition).max(10_000),
    /** runs that may execute user code at the same time */
    slots: z.number().int().min(0).max(100_000),
  }),
  z.object({ type: z.literal('heartbeat') }),
  /** fire and forget marker of a step that takes long; with `intent` it is a request that must be acknowledged first */
  z.object({
    type: z.literal('step_started'),
    ...request,
    ...step,
    intent: z.object({ reserveMicroCredits: z.number().int().nonnegative().default(0) }).optional(),
  }),
  z.object({
    type: z.literal('step_completed'),
    ...request,
    ...step,
    output: jsonValue,
    usage: usage.optional(),
    startedAt: z.number(),
    durationMs: z.number(),
  }),
  /** the engine decides by `retry` whether and when the step may be tried again; its `ack` says so */
  z.object({
    type: z.literal('step_failed'),
    ...request,
    ...step,
    error: failure,
    retry: retryPolicy,
    usage: usage.optional(),
    startedAt: z.number(),
    durationMs: z.number(),
  }),
  /** what a worker's reconciler found out about an effect whose outcome was unknown */
  z.object({
    type: z.literal('step_reconciled'),
    ...request,
    path: stepPath,
    resolution: z.union([
      z.object({ status: z.literal('completed'), output: jsonValue }),
      z.object({ status: z.literal('failed'), error: failure }),
      z.object({ status: z.literal('retry') }),
    ]),
  }),
  z.object({
    type: z.literal('timer_start'),
    ...request,
    path: stepPath,
    requestHash: z.string(),
    durationMs: z.number().int().nonnegative(),
  }),
  z.object({
    type: z.literal('wait_start'),
    ...request,
    path: stepPath,
    requestHash: z.string(),
    name,
    timeoutMs: z.number().int().positive().optional(),
  }),
  z.object({
    type: z.literal('approval_request'),
    ...request,
    path: stepPath,
    requestHash: z.string(),
    title: z.string().max(500),
    details: jsonValue.optional(),
    timeoutMs: z.number().int().positive().optional(),
  }),
  z.object({
    type: z.literal('child_start'),
    ...request,
    path: stepPath,
    requestHash: z.string(),
    childId: callerId,
    agentId: name,
    input: jsonValue,
    options: executionOptions.partial().default({}),
  }),
  z.object({ type: z.literal('complete'), ...request, output: jsonValue }),
  /** the agent function threw; the execution's retry policy decides */
  z.object({
    type: z.literal('fail'),
    ...request,
    error: failure,
    /** failed steps after which the code asked for nothing more: another attempt runs them anew. Absent: all failed steps */
    rerun: z.array(stepPath).max(1000).optional(),
  }),
  /** nothing of this run can go on until a `resolve`: its slot is free, the run stays resident in the worker */
  z.object({ type: z.literal('waiting'), ...run }),
  /** the worker drops the resident run; it will be assigned anew when something resolves */
  z.object({ type: z.literal('suspend'), ...request, reason: z.enum(['waiting', 'drained']) }),
  /** live output, shown and never recorded */
  z.object({ type: z.literal('delta'), ...run, path: stepPath, text: z.string() }),
  /** the worker hit an error of its own around this run and gives the attempt up */
  z.object({ type: z.literal('abandon'), ...run, detail: z.string().max(2000) }),
  /** no new assignments, please; answered by `drained` once the worker holds no run */
  z.object({ type: z.literal('drain') }),
])
export type WorkerMessage = z.infer<typeof workerMessage>

export const engineMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('welcome'),
    protocol: z.number().int(),
    sessionId: z.string(),
    heartbeatIntervalMs: z.number(),
    leaseMs: z.number(),
  }),
  /** the connection is closed after it */
  z.object({ type: z.literal('refused'), error: failure }),
  /** a run to execute; `journal` messages with its entries follow, the last one with `last: true` */
  z.object({
    type: z.literal('assign'),
    ...run,
    agentId: name,
    input: jsonValue,
    /** ms since the epoch */
    deadlineAt: z.number().optional(),
    /** the run's budget, from its start or its agent's defaults: model calls under one record their intent first */
    budgetMicroCredits: z.number().int().nonnegative().optional(),
    journalEntries: z.number().int().nonnegative(),
    /** applied to model calls that are really made, see {@link runOverrides} */
    overrides: runOverrides.optional(),
    /** nothing but model calls and values is made; everything else is answered from `recordings` or is a `replay_miss` */
    simulate: z.boolean().optional(),
    recordings: z.array(recording).optional(),
    /** roll backs so far */
    generation: z.number().int().positive().optional(),
  }),
  z.object({ type: z.literal('journal'), ...run, entries: z.array(journalEntry), last: z.boolean() }),
  /** the request's event is accepted. `entry` is what user code gets, when the request settles something at once;
   *  for `step_failed` it is `failed` (for good) or `retrying` */
  z.object({
    type: z.literal('ack'),
    ...request,
    entry: journalEntry.optional(),
    idempotencyKey: z.string().optional(),
  }),
  /** the request changed nothing; with `attempt_fenced` the worker drops the run */
  z.object({ type: z.literal('nack'), ...request, error: failure }),
  /** something the run waits for has settled */
  z.object({ type: z.literal('resolve'), ...run, entry: journalEntry }),
  /** stop this attempt now; nothing of it is accepted any more */
  z.object({ type: z.literal('stop'), ...run, reason: z.enum(['cancelled', 'paused', 'timed_out', 'fenced']) }),
  z.object({ type: z.literal('drained') }),
])
export type EngineMessage = z.infer<typeof engineMessage>
