import type { JsonValue, RecordedSum, RunDiff } from '@omium/schemas'
import { canonicalJson } from '@omium/schemas'
import type { RecordedStep } from './history.ts'
import { sumOf } from './sums.ts'

/**
 * What differs between two runs.
 *
 * 1. Pure: runs in, differences out. Inputs of the one place at which they part are brought by the caller, who knows from
 *    {@link alignRuns} which they are.
 * 2. Steps are aligned by path. Where the path itself carries the request (calls inside frameworks), the two steps at which
 *    the runs part are taken for one that asks otherwise, when they are of one kind and name.
 * 3. The cause is that of the first difference: what comes after it follows from it.
 */
export interface ComparedRun {
  readonly id: string
  readonly agent: string
  readonly status: RunDiff['a']['status']
  readonly inputDigest: string
  /** of output, or of error code and detail; null while it runs */
  readonly outcomeDigest: string | null
  readonly steps: readonly RecordedStep[]
}

type Change = RunDiff['steps'][number]['change']
interface Row {
  readonly a: RecordedStep | undefined
  readonly b: RecordedStep | undefined
  readonly change: Change
}
export interface Alignment {
  readonly rows: readonly Row[]
  /** of the first row that differs, -1 for none */
  readonly first: number
}

const changeOf = (a: RecordedStep | undefined, b: RecordedStep | undefined): Change => {
  if (!a) return 'only_b'
  if (!b) return 'only_a'
  if (a.requestHash !== b.requestHash && a.requestHash !== '*' && b.requestHash !== '*') return 'request'
  return a.digest === b.digest ? 'same' : 'result'
}

/** Every step of either run: A's in its order, each step that only B has after the one that B did before it. */
export const alignRuns = (a: ComparedRun, b: ComparedRun): Alignment => {
  const ofA = new Map(a.steps.map((step) => [step.path, step]))
  const ofB = new Map(b.steps.map((step) => [step.path, step]))
  const after = new Map<string | null, RecordedStep[]>()
  let anchor: string | null = null
  for (const step of b.steps) {
    if (ofA.has(step.path)) anchor = step.path
    else {
      const behind = after.get(anchor)
      if (behind) behind.push(step)
      else after.set(anchor, [step])
    }
  }
  const rows: Row[] = []
  const addB = (path: string | null): void => {
    for (const step of after.get(path) ?? []) rows.push({ a: undefined, b: step, change: 'only_b' })
  }
  addB(null)
  for (const step of a.steps) {
    const other = ofB.get(step.path)
    rows.push({ a: step, b: other, change: changeOf(step, other) })
    addB(step.path)
  }
  const first = rows.findIndex(({ change }) => change !== 'same')
  return first < 0 ? { rows, first } : { rows: paired(rows, first), first }
}

/** Rule 2. */
const paired = (rows: readonly Row[], first: number): readonly Row[] => {
  const row = rows[first]
  if (row?.change !== 'only_a' && row?.change !== 'only_b') return rows
  const step = row.a ?? row.b
  const partner = rows.findIndex(
    (other, i) =>
      i > first &&
      other.change === (row.change === 'only_a' ? 'only_b' : 'only_a') &&
      (other.a ?? other.b)?.kind === step?.kind &&
      (other.a ?? other.b)?.name === step?.name,
  )
  const found = rows[partner]
  if (!found) return rows
  const merged: Row = { a: row.a ?? found.a, b: row.b ?? found.b, change: 'request' }
  return rows.flatMap((other, i) => (i === first ? [merged] : i === partner ? [] : [other]))
}

export interface Opened {
  /** what the step was asked, as recorded */
  readonly input: JsonValue | undefined
}
type Divergence = NonNullable<RunDiff['divergence']>
type Cause = Pick<Divergence, 'cause' | 'detail'>

const member = (value: JsonValue | undefined, name: string): JsonValue | undefined =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? value[name] : undefined
const same = (a: unknown, b: unknown): boolean => canonicalJson(a ?? null) === canonicalJson(b ?? null)

/** The request of a model call, whether made through the context or by a framework's own client. */
const chatOf = (input: JsonValue | undefined): JsonValue | undefined => member(input, 'body') ?? input
const instructionsIn = (chat: JsonValue | undefined): JsonValue => {
  const messages = member(chat, 'messages')
  const system = Array.isArray(messages)
    ? messages.filter((message) => ['system', 'developer'].includes(String(member(message, 'role'))))
    : []
  return [system, member(chat, 'instructions') ?? null]
}
const conversation = ['messages', 'input', 'instructions', 'model']
const parametersIn = (chat: JsonValue | undefined): JsonValue =>
  chat !== null && typeof chat === 'object' && !Array.isArray(chat)
    ? Object.fromEntries(Object.entries(chat).filter(([key]) => !conversation.includes(key)))
    : null

const causeOfModelRequest = (a: JsonValue | undefined, b: JsonValue | undefined, upstream: Cause): Cause => {
  const [chatA, chatB] = [chatOf(a), chatOf(b)]
  const [modelA, modelB] = [member(chatA, 'model'), member(chatB, 'model')]
  if (!same(modelA, modelB)) {
    return { cause: 'model', detail: `A asks ${JSON.stringify(modelA)}, B asks ${JSON.stringify(modelB)}` }
  }
  if (!same(instructionsIn(chatA), instructionsIn(chatB))) {
    return { cause: 'prompt', detail: 'the instructions to the model differ' }
  }
  if (!same(parametersIn(chatA), parametersIn(chatB))) {
    return { cause: 'prompt', detail: 'the tools or parameters that the model is given differ' }
  }
  if (upstream.cause === 'code') return { cause: 'prompt', detail: 'the messages to the model differ' }
  return upstream
}

const causeOf = (row: Row, a: ComparedRun, b: ComparedRun, openedA: Opened, openedB: Opened): Cause => {
  const kind = (row.a ?? row.b)?.kind
  const upstream: Cause =
    a.inputDigest !== b.inputDigest
      ? { cause: 'input', detail: 'the runs were given different inputs' }
      : a.agent !== b.agent
        ? { cause: 'agent', detail: `A runs ${a.agent}, B runs ${b.agent}` }
        : { cause: 'code', detail: 'with the same input and results so far the code asks otherwise' }
  if (row.change === 'request') {
    return kind === 'llm' ? causeOfModelRequest(openedA.input, openedB.input, upstream) : upstream
  }
  if (row.change !== 'result') return upstream
  if (kind === 'llm') {
    const [modelA, modelB] = [row.a?.usage.model, row.b?.usage.model]
    return modelA !== undefined && modelB !== undefined && modelA !== modelB
      ? { cause: 'model', detail: `${modelA} answered in A, ${modelB} in B` }
      : { cause: 'model', detail: 'the model answered the same request differently' }
  }
  if (kind === 'tool' || kind === 'step' || kind === 'child') {
    const ended = row.a?.failed === row.b?.failed ? 'gave another result' : 'failed in only one of them'
    return { cause: 'tool', detail: `"${row.a?.name}" ${ended}` }
  }
  return { cause: 'state', detail: `what came from outside at this ${kind} differs` }
}

const side = (step: RecordedStep | undefined, { input }: Opened): Divergence['a'] =>
  step ? { path: step.path, kind: step.kind, ...(input !== undefined && { what: input }) } : null

/** @param openedA,openedB the inputs of the steps of the first differing row */
export const diffRuns = (
  a: ComparedRun,
  b: ComparedRun,
  { rows, first }: Alignment,
  openedA: Opened,
  openedB: Opened,
): RunDiff => {
  const sameOutcome = a.status === b.status && a.outcomeDigest === b.outcomeDigest
  const row = rows[first]
  const downstream = row ? rows.slice(first) : []
  const [sumA, sumB] = [sumOf(present(downstream.map((r) => r.a))), sumOf(present(downstream.map((r) => r.b)))]
  const path = row?.a?.path ?? row?.b?.path
  return {
    a: headOf(a),
    b: headOf(b),
    identical: !row && sameOutcome,
    sameOutcome,
    divergence: row
      ? {
          ...(path !== undefined && { path }),
          ...causeOf(row, a, b, openedA, openedB),
          a: side(row.a, openedA),
          b: side(row.b, openedB),
        }
      : sameOutcome
        ? null
        : { ...endCause(a, b), a: null, b: null },
    downstream: {
      a: sumA,
      b: sumB,
      costDeltaMicroCredits: sumB.costMicroCredits - sumA.costMicroCredits,
      durationDeltaMs: sumB.durationMs - sumA.durationMs,
    },
    steps: rows.map(({ a: x, b: y, change }) => ({
      path: (x ?? y)?.path ?? '',
      kind: (x ?? y)?.kind ?? '',
      change,
      costDeltaMicroCredits: (y?.usage.costMicroCredits ?? 0) - (x?.usage.costMicroCredits ?? 0),
      durationDeltaMs: (y?.durationMs ?? 0) - (x?.durationMs ?? 0),
    })),
  }
}

const endCause = (a: ComparedRun, b: ComparedRun): Cause => {
  if (a.inputDigest !== b.inputDigest) return { cause: 'input', detail: 'the runs were given different inputs' }
  if (a.agent !== b.agent) return { cause: 'agent', detail: `A runs ${a.agent}, B runs ${b.agent}` }
  const end = a.status === b.status ? `both are ${a.status}` : `A is ${a.status}, B is ${b.status}`
  return {
    cause: a.status === b.status ? 'code' : 'state',
    detail: `every step is the same, and the ends differ: ${end}`,
  }
}

const present = (steps: readonly (RecordedStep | undefined)[]): RecordedStep[] =>
  steps.filter((step): step is RecordedStep => step !== undefined)

const headOf = ({ id, agent, status, steps }: ComparedRun): RunDiff['a'] => ({
  id,
  agent,
  status,
  total: sumOf(steps) satisfies RecordedSum,
})
