import type { CommandDraft } from '@omium/log'
import type { CompletedEffect } from '@omium/schemas'
import type { EffectsOfRun } from './domain/outbox.ts'

/** What the orchestrator needs from its surroundings; composition roots and specs provide it. */

/** Puts a command on a context's log, at least once. @throws OmiumError; the command may be there all the same */
export interface Commands {
  send(command: CommandDraft): Promise<unknown>
}

/** The effects that runs have made, as their own events tell. */
export interface EffectHistory {
  /** oldest first. @throws OmiumError `execution_unknown` when the log has less of the run */
  read(of: EffectsOfRun): Promise<readonly CompletedEffect[]>
}

/** What the orchestrator measures as it goes. */
export interface RecoveryMeasures {
  planned(failureClass: string, strategy: string): void
  recovered(failureClass: string, strategy: string, recoveredInMs: number): void
  failed(failureClass: string, strategy: string): void
  /** from the failure to the plan's acceptance, ms */
  decidedIn(latencyMs: number): void
  escalated(): void
  givenUp(): void
}
