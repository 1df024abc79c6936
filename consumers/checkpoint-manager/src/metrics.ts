import { Counter, createMetrics, exposeGauge, type Registry } from '@omium/kit'
import type { CheckpointManager } from './manager.ts'
import type { ManagerMeasures } from './ports.ts'

export interface ManagerMetrics {
  readonly registry: Registry
  readonly measures: ManagerMeasures
  /** from now on gauges show this manager */
  observe(manager: CheckpointManager): void
}

export const createManagerMetrics = (): ManagerMetrics => {
  const registry = createMetrics()
  const registers = [registry]
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name, help, labelNames, registers })
  const decided = counter('omium_checkpoint_commands_total', 'Commands decided, by type', 'type')
  const corrupted = counter('omium_checkpoints_corrupted_total', 'Checkpoints found damaged', 'found')
  const rebuilt = counter('omium_checkpoints_rebuilt_total', 'Checkpoints made again from the log')
  const swept = counter('omium_checkpoint_objects_swept_total', 'Objects removed that nothing referred to')
  const followed = counter('omium_checkpoints_followed_total', 'Checkpoints made from the events of runs', 'kind')
  return {
    registry,
    measures: {
      decided: (type) => decided.inc({ type }),
      corrupted: (found) => corrupted.inc({ found }),
      rebuilt: () => rebuilt.inc(),
      swept: () => swept.inc(),
      followed: (kind) => followed.inc({ kind }),
    },
    observe(manager) {
      const gauge = (name: string, help: string, read: () => number): void => exposeGauge(registry, name, help, read)
      gauge('omium_checkpoint_threads', 'Threads in the owned partitions', () => manager.counts.threads)
      gauge('omium_checkpoints', 'Checkpoints in the owned partitions', () => manager.counts.checkpoints)
      gauge('omium_partitions_owned', 'Partitions owned by this process', () => manager.partitions.length)
    },
  }
}
