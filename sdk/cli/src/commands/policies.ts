import type { PolicyVerdictView } from '@omium/schemas'
import type { Command } from 'commander'
import { clientOf } from '../connection.ts'
import { RunFailed, UsageError } from '../exit-codes.ts'
import { readJsonArgument, wholeNumber } from '../input.ts'
import type { Io } from '../io.ts'
import { show, table } from '../output.ts'

interface Flags {
  json?: boolean
}

const problems = ({ errors, warnings }: Pick<PolicyVerdictView, 'errors' | 'warnings'>): string[] => [
  ...errors.map(({ path, message }) => `error    ${path || '/'}: ${message}`),
  ...warnings.map(({ path, message }) => `warning  ${path || '/'}: ${message}`),
]

export const addPoliciesCommand = (program: Command, io: Io): void => {
  const policies = program.command('policies').description('what is tried when runs fail')

  policies
    .command('ls')
    .description('list recovery policies')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: Flags) => {
      const items = await clientOf(io).recoveryPolicies.list()
      if (json) for (const item of items) io.out(JSON.stringify(item))
      else {
        const state = (inForce: boolean, version: number): string =>
          inForce ? (version === 0 ? 'built in' : 'in force') : 'retired'
        const header = ['name', 'version', 'state', 'published', 'description']
        const row = (one: (typeof items)[number]) => [
          one.name,
          String(one.version),
          state(one.inForce, one.version),
          one.publishedAt ?? '',
          one.policy.description ?? '',
        ]
        io.out(table(header, items.map(row)))
      }
    })

  policies
    .command('show')
    .description('a policy as JSON, the version in force unless another is named')
    .argument('<name>')
    .option('--version-number <number>', 'this version', wholeNumber('--version-number', 0, 1_000_000_000))
    .option('--json', 'with everything that is known about the version')
    .action(async (name: string, { json, versionNumber }: Flags & { versionNumber?: number }) => {
      const versions = await clientOf(io).recoveryPolicies.versions(name)
      const wanted = versions.find((one) => (versionNumber === undefined ? one.inForce : one.version === versionNumber))
      if (!wanted) {
        const what = versionNumber === undefined ? 'no version in force' : `no version ${versionNumber}`
        throw new UsageError(`policy ${name} has ${what}; it has ${versions.map(({ version }) => version).join(', ')}`)
      }
      show(io, json, wanted, () => JSON.stringify(wanted.policy, null, 2))
    })

  policies
    .command('publish')
    .description('publish a version; the same content again changes nothing')
    .argument('<name>')
    .argument('<json>', 'the policy: JSON, @file, or - for standard input')
    .option('--note <text>', 'what has changed')
    .option('--expect <version>', 'only over this version, 0 for none', wholeNumber('--expect', 0, 1_000_000_000))
    .option('--json', 'one JSON document')
    .action(async (name: string, text: string, flags: Flags & { note?: string; expect?: number }) => {
      const policy = await readJsonArgument(io, text)
      const receipt = await clientOf(io).recoveryPolicies.publish(name, policy, {
        ...(flags.note !== undefined && { note: flags.note }),
        ...(flags.expect !== undefined && { expectedVersion: flags.expect }),
      })
      const said = receipt.deduplicated ? 'is as it was' : 'is published'
      show(io, flags.json, receipt, () =>
        [`${name} ${said}`, ...problems({ errors: [], warnings: receipt.warnings })].join('\n'),
      )
    })

  policies
    .command('retire')
    .description('runs that name it are handled by the built-in policy from now on')
    .argument('<name>')
    .option('--json', 'one JSON document')
    .action(async (name: string, { json }: Flags) => {
      const receipt = await clientOf(io).recoveryPolicies.retire(name)
      show(io, json, receipt, () => `${name} is retired`)
    })

  policies
    .command('validate')
    .description('say everything that is wrong with a policy; exit code 1 when something is')
    .argument('<json>', 'the policy: JSON, @file, or - for standard input')
    .option('--json', 'one JSON document')
    .action(async (text: string, { json }: Flags) => {
      const verdict = await clientOf(io).recoveryPolicies.validate(await readJsonArgument(io, text))
      show(io, json, verdict, () => [verdict.valid ? 'valid' : 'not valid', ...problems(verdict)].join('\n'))
      if (!verdict.valid) throw new RunFailed('the policy cannot be published')
    })
}
