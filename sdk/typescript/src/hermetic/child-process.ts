import { OmiumError } from '@omium/schemas'
import type { AnyAgent } from '../context.ts'
import { switchNetworkOff } from './network-guard.ts'
import type { FromChild, ToChild } from './process.ts'
import { type RecordedRun, replayRecorded, type Verdict } from './replay.ts'

/** The process in which recorded runs meet today's code. Started by process.ts, which speaks to it by messages. */

const tries: string[] = []
const tell = (message: FromChild): void => {
  // who asked may have left, and this process with it
  process.send?.(message, undefined, undefined, () => {})
}

switchNetworkOff((what) => tries.push(what))

let agents: ReadonlyMap<string, AnyAgent> = new Map()

const replay = async (run: RecordedRun): Promise<Verdict> => {
  const agent = agents.get(run.agent)
  if (!agent) {
    const known = [...agents.keys()].join(', ')
    return { id: run.id, verdict: 'error', detail: `the code has no agent "${run.agent}"; it has: ${known}` }
  }
  tries.length = 0
  const verdict = await replayRecorded(agent, run)
  const [first] = tries
  // whatever the code made of the error: it tried, and without the guard it would have been a live call
  return first === undefined
    ? verdict
    : { id: run.id, verdict: 'miss', detail: `the code tried ${first} outside of its recorded steps` }
}

process.on('message', (message: ToChild) => {
  if (message.type === 'load') {
    // after the guard: what the modules import is bound by it
    import('../load-agents.ts')
      .then(({ loadAgents }) => loadAgents(message.modules, message.folder))
      .then(({ agents: loaded, problems }) => {
        const [problem] = problems
        if (problem) throw problem.error
        agents = new Map(loaded.map((agent) => [agent.id, agent]))
        tell({ type: 'loaded' })
      })
      .catch((error: unknown) => {
        const failure = error instanceof OmiumError ? error : new OmiumError('agent_threw', String(error))
        tell({ type: 'unusable', error: failure.toFailure() })
      })
    return
  }
  void replay(message.run).then((verdict) => tell({ type: 'verdict', verdict }))
})
// agent code may leave timers behind; nothing of it outlives the replay
process.on('disconnect', () => process.exit(0))
