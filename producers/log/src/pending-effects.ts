import type { CommandOutcome } from './contract.ts'
import type { PreparedRecord } from './writer.ts'

/** Versions and outcomes of what an owner has appended and the log has not accepted yet: what the fold will say. */
export class PendingEffects {
  readonly #versions = new Map<string, { version: number; records: number }>()
  readonly #outcomes = new Map<string, CommandOutcome>()

  versionOf(aggregate: string): number | undefined {
    return this.#versions.get(aggregate)?.version
  }

  outcomeOf(commandId: string): CommandOutcome | undefined {
    return this.#outcomes.get(commandId)
  }

  /** @param isDecided whether the fold or an earlier append decided a command: the first outcome stands */
  add(records: readonly PreparedRecord[], isDecided: (commandId: string) => boolean): void {
    for (const { envelope, outcome } of records) {
      const { aggregate, version, commandId } = envelope
      if (version > 0) {
        const pending = this.#versions.get(aggregate)
        if (pending === undefined) this.#versions.set(aggregate, { version, records: 1 })
        else {
          pending.version = version
          pending.records++
        }
      }
      if (commandId !== undefined && !isDecided(commandId)) {
        this.#outcomes.set(commandId, outcome ?? { status: 'accepted' })
      }
    }
  }

  /** The records are accepted: from here on the fold knows. */
  remove(records: readonly PreparedRecord[]): void {
    for (const { envelope } of records) {
      const { aggregate, version, commandId } = envelope
      if (commandId !== undefined) this.#outcomes.delete(commandId)
      const pending = version > 0 ? this.#versions.get(aggregate) : undefined
      if (pending !== undefined && --pending.records === 0) this.#versions.delete(aggregate)
    }
  }
}
