import { z } from 'zod'
import { failure } from '../errors.ts'
import { recoveryAction, stepPath } from '../execution/model.ts'
import { callerId, name } from '../ids.ts'
import { jsonValue } from '../json.ts'
import {
  causeLink,
  compensateAction,
  failureClass,
  failureFacts,
  incidentAction,
  incidentId,
  incidentStatus,
  policyRef,
  recoveryPolicy,
  recoveryStrategy,
} from '../recovery/model.ts'
import { logPosition } from './executions.ts'
import { pageQuery } from './pages.ts'

/** The HTTP API's shapes of recoveries. `position` is of the recovery events topic here. */
export const incidentIdParam = z.object({ id: incidentId })

export const incidentView = z.object({
  id: incidentId,
  executionId: callerId,
  agent: name,
  status: incidentStatus,
  class: failureClass.optional(),
  /** what the class was read from */
  classifiedBy: z.string().optional(),
  fingerprint: z.string().optional(),
  rootCause: causeLink.optional(),
  /** from what the run saw to the root cause */
  chain: z.array(causeLink).optional(),
  error: failure.optional(),
  step: failureFacts.shape.step,
  /** what was decided last */
  plan: z
    .object({ number: z.number().int(), strategy: recoveryStrategy, action: incidentAction, policy: policyRef })
    .optional(),
  why: z.string().optional(),
  attempts: z.number().int(),
  costMicroCredits: z.number().int(),
  /** until when a person may answer */
  until: z.iso.datetime().optional(),
  openedAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  closedAt: z.iso.datetime().optional(),
  recoveredInMs: z.number().int().optional(),
  position: logPosition,
})
export type IncidentView = z.infer<typeof incidentView>

export const incidentEventView = z.object({
  id: z.string(),
  type: z.string(),
  version: z.number().int(),
  time: z.iso.datetime(),
  actor: z.string(),
  data: jsonValue,
})
export const incidentDetail = incidentView.extend({ history: z.array(incidentEventView) })
export type IncidentDetail = z.infer<typeof incidentDetail>

const fingerprint = z
  .string()
  .max(64)
  .refine((text) => !text.includes('\0'), 'U+0000 is not allowed')
export const listIncidentsQuery = z.object({
  status: incidentStatus.optional(),
  class: failureClass.optional(),
  fingerprint: fingerprint.optional(),
  execution: callerId.optional(),
  ...pageQuery.shape,
})

const hours = z.coerce.number().int().min(1).max(8784).default(168)
export const groupsQuery = z.object({ hours, limit: z.coerce.number().int().min(1).max(200).default(50) })
export const failureGroupView = z.object({
  fingerprint: z.string(),
  class: failureClass,
  agent: name,
  code: z.string(),
  detail: z.string(),
  incidents: z.number().int(),
  open: z.number().int(),
  recovered: z.number().int(),
  runs: z.number().int(),
  firstAt: z.iso.datetime(),
  lastAt: z.iso.datetime(),
})
export type FailureGroupView = z.infer<typeof failureGroupView>

export const statisticsQuery = z.object({ hours, fingerprint: fingerprint.optional() })
export const recoveryStatisticView = z.object({
  class: failureClass,
  strategy: recoveryStrategy,
  tries: z.number().int(),
  successes: z.number().int(),
  successRate: z.number(),
  recoveredInP50Ms: z.number().optional(),
  recoveredInP99Ms: z.number().optional(),
})
export type RecoveryStatisticView = z.infer<typeof recoveryStatisticView>

const [retryAction, rollBackAction, , holdAction, giveUpAction] = recoveryAction.options
/** What a person decides. The step that gets a value is the failed one unless another is named. */
export const decideIncidentBody = z.object({
  action: z.discriminatedUnion('type', [
    retryAction,
    rollBackAction,
    z.object({ type: z.literal('settle'), path: stepPath.optional(), output: jsonValue }),
    holdAction,
    giveUpAction,
    compensateAction,
  ]),
  reason: z.string().max(2000).optional(),
})
export type IncidentDecision = z.input<typeof decideIncidentBody>['action']

export const incidentReceipt = z.object({ incidentId, position: logPosition, deduplicated: z.boolean() })
export type IncidentReceipt = z.infer<typeof incidentReceipt>

export const policyNameParam = z.object({ name })
export const publishPolicyBody = z.object({
  policy: jsonValue,
  note: z.string().max(2000).optional(),
  /** the version that the author has seen, 0 for none */
  expectedVersion: z.number().int().nonnegative().optional(),
})
const policyProblem = z.object({ path: z.string(), message: z.string() })
export const policyReceipt = z.object({
  name,
  position: logPosition,
  deduplicated: z.boolean(),
  warnings: z.array(policyProblem),
})
export type PolicyReceipt = z.infer<typeof policyReceipt>
export const policyVerdictView = z.object({
  valid: z.boolean(),
  policy: recoveryPolicy.optional(),
  errors: z.array(policyProblem),
  warnings: z.array(policyProblem),
})
export type PolicyVerdictView = z.infer<typeof policyVerdictView>

export const recoveryPolicyView = z.object({
  name,
  /** 0 is the built-in policy, which `default` is until it is published */
  version: z.number().int(),
  inForce: z.boolean(),
  policy: recoveryPolicy,
  note: z.string().optional(),
  publishedBy: z.string().optional(),
  publishedAt: z.iso.datetime().optional(),
})
export type RecoveryPolicyView = z.infer<typeof recoveryPolicyView>
