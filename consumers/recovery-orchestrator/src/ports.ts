import type { CommandDraft } from '@omium/log'

/** What the orchestrator needs from its surroundings; composition roots and specs provide it. */

/** Puts a command on a context's log, at least once. @throws OmiumError; the command may be there all the same */
export interface Commands {
  send(command: CommandDraft): Promise<unknown>
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
