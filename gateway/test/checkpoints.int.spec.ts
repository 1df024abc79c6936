import { afterAll, beforeAll } from 'vitest'
import { damageSpecs } from './checkpoints/damage.ts'
import { runSpecs } from './checkpoints/runs.ts'
import { stateSpecs } from './checkpoints/states.ts'
import { checkpointsWorld } from './checkpoints/world.ts'

/** Checkpoints through the gateway, subject by subject, in one world. */
const world = checkpointsWorld()

beforeAll(world.open, 120_000)
afterAll(world.close)

stateSpecs(world)
damageSpecs(world)
runSpecs(world)
