import type { OwnerOptions } from './contract.ts'

export type OnNotice = OwnerOptions<unknown>['onNotice']

/** Counts by name; a name appears with its first count. */
export class Counters {
  readonly values: Record<string, number> = {}

  add(name: string, amount = 1): void {
    this.values[name] = (this.values[name] ?? 0) + amount
  }
}

/** Text of an unknown error, for notices and details. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
