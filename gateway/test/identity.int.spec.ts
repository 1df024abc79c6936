import { afterAll, beforeAll } from 'vitest'
import { attackSpecs } from './identity/attacks.ts'
import { keySpecs } from './identity/keys.ts'
import { peopleSpecs } from './identity/people.ts'
import { routeSpecs } from './identity/routes.ts'
import { stepUpSpecs } from './identity/step-up.ts'
import { tenantSpecs } from './identity/tenants.ts'
import { identityWorld } from './identity/world.ts'

/** The front door of people and keys, subject by subject, in one world: starting it takes longer than most of its specs. */
const world = identityWorld()

beforeAll(world.open, 240_000)
afterAll(world.close)

tenantSpecs(world)
stepUpSpecs(world)
peopleSpecs(world)
keySpecs(world)
routeSpecs(world)
attackSpecs(world)
