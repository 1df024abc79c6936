import { readSettings } from '@omium/schemas'
import { type Command, Option } from 'commander'
import { platformEnvironment } from '../connection.ts'
import { RunFailed } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { show } from '../output.ts'
import { loadPlatform } from '../platform.ts'

/** What a projection's package does for the CLI; both work while the live projection runs. */
interface Maintenance {
  rebuild(options: MaintenanceOptions & { acceptDifference?: boolean }): Promise<Comparison & { switched: boolean }>
  verify(options: MaintenanceOptions): Promise<Comparison>
}
interface MaintenanceOptions {
  env: Record<string, string | undefined>
  databaseUrl: string
  onProgress?: (progress: { events: number; lag: number }) => void
}
interface Comparison {
  equal: boolean
  difference: unknown
  events: number
}

interface Flags {
  acceptDifference?: boolean
  json?: boolean
  of: string
}

const load = async ({ of }: Flags): Promise<Maintenance> => {
  const { maintenanceNamed } = await loadPlatform<{ maintenanceNamed(name: string): Maintenance }>(
    '@omium/projections',
    ['maintenanceNamed'],
  )
  return maintenanceNamed(of)
}

const ofWhat = () =>
  new Option('--of <projection>', 'executions, checkpoints, recoveries or workflows').default('executions')

const optionsOf = (io: Io, json: boolean | undefined): MaintenanceOptions => {
  const env = platformEnvironment(io)
  const { OMIUM_DATABASE_URL: databaseUrl } = readSettings(env, ['OMIUM_DATABASE_URL'])
  return {
    env,
    databaseUrl,
    ...(!json && { onProgress: ({ events, lag }) => io.err(`${events} events applied, ${lag} to go`) }),
  }
}

export const addProjectionsCommand = (program: Command, io: Io): void => {
  const projections = program.command('projections').description('the read models')

  projections
    .command('rebuild')
    .description('build the read models anew from the log beside the live ones, compare, then switch')
    .addOption(ofWhat())
    .option('--accept-difference', 'switch although the contents differ: repairs damaged read models')
    .option('--json', 'one JSON document')
    .action(async (flags: Flags) => {
      const { acceptDifference, json } = flags
      const { rebuild } = await load(flags)
      const result = await rebuild({ ...optionsOf(io, json), ...(acceptDifference && { acceptDifference }) })
      show(io, json, result, () => `${result.events} events applied; ${result.switched ? 'switched' : 'not switched'}`)
      if (!result.switched)
        throw new RunFailed(`the read models differ from the log: ${JSON.stringify(result.difference)}`)
    })

  projections
    .command('verify')
    .description('say whether the read models are what the log says')
    .addOption(ofWhat())
    .option('--json', 'one JSON document')
    .action(async (flags: Flags) => {
      const { json } = flags
      const { verify } = await load(flags)
      const result = await verify(optionsOf(io, json))
      show(io, json, result, () => `${result.events} events compared; ${result.equal ? 'equal' : 'different'}`)
      if (!result.equal)
        throw new RunFailed(`the read models differ from the log: ${JSON.stringify(result.difference)}`)
    })
}
