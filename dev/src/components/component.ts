import type { Credentials } from '../credentials.ts'
import type { Layout } from '../layout.ts'
import type { PortName } from '../ports.ts'
import type { ManagedProcess, Supervisor } from '../supervisor.ts'
import type { Progress } from '../tools.ts'

/** `dev`: state is kept and survives a power cut. `test`: thrown away at the end, so nothing waits for a disk. */
export type Profile = 'dev' | 'test'

/** What every component needs to prepare and start. */
export interface ComponentContext {
  layout: Layout
  tools: string
  ports: Record<PortName, number>
  credentials: Credentials
  supervisor: Supervisor
  profile: Profile
  progress: Progress
}

/**
 * One part of the stack. `prepare` fetches what it runs on (slow once, then nothing); `start` makes its data folder if
 * there is none, starts it and resolves when it really answers.
 */
export interface Component<Running> {
  name: string
  prepare(context: Pick<ComponentContext, 'tools' | 'progress'>): Promise<void>
  start(context: ComponentContext): Promise<Running>
}

export interface RunningComponent {
  processes: ManagedProcess[]
}
