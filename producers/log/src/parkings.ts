import type { ErrorCode } from '@omium/schemas'
import type { StoredRecord } from './transport.ts'

/** Why an aggregate stands still. */
export interface Parking {
  readonly offset: number
  readonly tenant: string
  readonly code: ErrorCode
  readonly detail: string
  /** the record that could not be applied, when it is one that was read */
  readonly record?: StoredRecord
}

/**
 * What an owner knows about aggregates that its machine cannot follow, or could although others could not. The fold says
 * which are parked; this says what is to be put on the log about it.
 */
export class Parkings {
  /** aggregates that the machine cannot follow and that the log does not hold for parked yet */
  readonly unrecorded = new Map<string, Parking>()
  /** an aggregate was unparked after the snapshot: only the whole log tells whether this machine can follow */
  snapshotOutdated = false
  readonly #machineVersion: number
  /** aggregates whose history the state does not hold as the log has it */
  readonly #unfit = new Set<string>()
  /** parked by a machine of another version, and followed here to the end; with their tenants */
  readonly #liftable = new Map<string, string>()
  /** what the snapshot holds of these may be broken; it does not matter while they are parked */
  readonly #inSnapshot: ReadonlySet<string>

  constructor(machineVersion: number, parkedInSnapshot: readonly string[] = []) {
    this.#machineVersion = machineVersion
    this.#inSnapshot = new Set(parkedInSnapshot)
  }

  isUnfit(aggregate: string): boolean {
    return this.#unfit.has(aggregate)
  }

  /** An accepted event could not be applied. */
  failed(aggregate: string, why: Parking): void {
    this.#unfit.add(aggregate)
    this.unrecorded.set(aggregate, why)
  }

  /** The log holds the aggregate for parked. @param by the version of the machine that could not follow, if it is known */
  parked(aggregate: string, tenant: string, by: number | undefined): void {
    this.unrecorded.delete(aggregate)
    if (!this.#unfit.has(aggregate) && by !== this.#machineVersion) this.#liftable.set(aggregate, tenant)
  }

  /** Other code went on with the aggregate; when this code cannot follow, it is to be parked again. */
  unparked(aggregate: string, tenant: string, offset: number): void {
    this.#liftable.delete(aggregate)
    if (this.#inSnapshot.has(aggregate)) this.snapshotOutdated = true
    if (!this.#unfit.has(aggregate)) return
    const detail = `machine version ${this.#machineVersion} cannot apply the history of ${aggregate}`
    this.unrecorded.set(aggregate, { offset, tenant, code: 'record_unfoldable', detail })
  }

  /** The aggregates to unpark, once, with their tenants. */
  takeLiftable(): readonly (readonly [aggregate: string, tenant: string])[] {
    const taken = [...this.#liftable]
    this.#liftable.clear()
    return taken
  }
}
