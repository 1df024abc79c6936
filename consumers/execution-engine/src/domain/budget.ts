import type { OpenChild } from './entries.ts'
import type { ExecutionState } from './execution.ts'

/**
 * What a run may spend, with all that it has others spend for it. Runs form a tree, and live on partitions of their own: no
 * run can look at another's sums, so a child spends from a grant that its parent gave away before the child was started.
 *
 * 1. What is spent, reserved and granted never exceeds the budget, as long as no call costs more than was reserved for it.
 * 2. Under a budget every child has one: what it asks for or what is left, whichever is less; without a wish of its own, its
 *    share of what is left among the requests that came together with it.
 * 3. A child's end settles its grant: what the child and its own children spent stays spent, the rest is free again. Until
 *    then all of it counts, also when a roll back has left the child behind.
 * 4. What nobody will know any more counts at its worst: all that was reserved for it.
 */

/** What is neither spent nor promised; below zero when a call cost more than was reserved for it. Null without a budget. */
export const leftOf = ({
  options,
  spentMicroCredits,
  reservedMicroCredits,
  grantedMicroCredits,
}: ExecutionState): number | null =>
  options.budgetMicroCredits === undefined
    ? null
    : options.budgetMicroCredits - spentMicroCredits - reservedMicroCredits - grantedMicroCredits

/**
 * The budget that a child is started with.
 * @param asked what its start or its agent says
 * @param claims requests of the same moment, this one included, that want something of what is left
 */
export const childBudget = (state: ExecutionState, asked: number | undefined, claims: number): number | undefined => {
  const left = leftOf(state)
  if (left === null) return asked
  return Math.max(0, asked === undefined ? Math.floor(left / claims) : Math.min(asked, left))
}

const grantOf = ({ options }: ExecutionState, child: Pick<OpenChild, 'options'>): number =>
  options.budgetMicroCredits === undefined ? 0 : (child.options.budgetMicroCredits ?? 0)

export const grant = (state: ExecutionState, child: Pick<OpenChild, 'options'>): void => {
  state.grantedMicroCredits += grantOf(state, child)
}

export const settleGrant = (state: ExecutionState, child: OpenChild, spentMicroCredits: number): void => {
  state.grantedMicroCredits -= grantOf(state, child)
  state.spentMicroCredits += spentMicroCredits
}

const reservedAt = (state: ExecutionState, path: string): number => {
  const entry = state.open.get(path)
  return (entry?.type === 'step' || entry?.type === 'unknown') && entry.intent ? entry.intent.reservedMicroCredits : 0
}

export const releaseReserve = (state: ExecutionState, path: string): void => {
  state.reservedMicroCredits -= reservedAt(state, path)
}

/** Invariant 4, for one effect. */
export const spendReserve = (state: ExecutionState, path: string): void => {
  state.spentMicroCredits += reservedAt(state, path)
  releaseReserve(state, path)
}

/** Invariant 4, for all that is open. */
export const spendReserves = (state: ExecutionState): void => {
  state.spentMicroCredits += state.reservedMicroCredits
  state.reservedMicroCredits = 0
}
