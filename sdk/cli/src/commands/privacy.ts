import { type ErasureView, erasureView } from '@omium/schemas'
import type { Command } from 'commander'
import { clientOf, platformEnvironment } from '../connection.ts'
import { RunFailed } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { show } from '../output.ts'
import { loadPlatform } from '../platform.ts'

type Env = Record<string, string | undefined>
interface Rotated {
  readonly moved: number
  readonly current: number
  readonly failed: readonly string[]
}
interface PersonalDataKeys {
  rotateKeys(env: Env, options: { onProgress?: (rotated: Rotated) => void }): Promise<Rotated>
}
interface Erasing {
  eraseEverywhere(env: Env, subject: string): Promise<ErasureView>
}
interface Flags {
  json?: boolean
}

/** Personal data: its end, what there is of whoever asks, and the keys that it is encrypted under. */
export const addPrivacyCommand = (program: Command, io: Io): void => {
  const privacy = program.command('privacy').description('personal data: erase, export, rotate its keys')

  privacy
    .command('erase')
    .description('erase a person from this tenant: their membership and open invitations')
    .argument('<subject>', 'a user id or an e-mail address')
    .option('--everywhere', 'as the operator of the installation: the whole person, for all tenants and for ever')
    .option('--json', 'one JSON document')
    .action(async (subject: string, { everywhere, json }: Flags & { everywhere?: boolean }) => {
      const erasure = everywhere
        ? await (await loadPlatform<Erasing>('@omium/gateway', ['eraseEverywhere'])).eraseEverywhere(
            platformEnvironment(io),
            subject,
          )
        : await eraseHere(io, subject)
      show(
        io,
        json,
        erasure,
        () =>
          `${erasure.id} ${erasure.status}: ${erasure.memberships} membership(s) and ${erasure.invitations} invitation(s) ended`,
      )
    })

  privacy
    .command('show')
    .description('say what became of an erasure')
    .argument('<id>')
    .option('--json', 'one JSON document')
    .action(async (id: string, { json }: Flags) => {
      const erasure = await erasureOf(io, id)
      show(io, json, erasure, () => JSON.stringify(erasure, null, 2))
    })

  privacy
    .command('export')
    .description('everything that the platform holds of whoever is signed in, as JSON')
    .action(async () => {
      io.out(JSON.stringify(await clientOf(io).request('GET', '/v1/me/data'), null, 2))
    })

  privacy
    .command('rotate')
    .description('wrap all keys anew under the current master or KMS key; may be interrupted and repeated')
    .option('--json', 'one JSON document')
    .action(async ({ json }: Flags) => {
      const { rotateKeys } = await loadPlatform<PersonalDataKeys>('@omium/personal-data', ['rotateKeys'])
      const progress = ({ moved, current }: Rotated) => io.err(`${moved} moved, ${current} were current`)
      const rotated = await rotateKeys(platformEnvironment(io), { ...(!json && { onProgress: progress }) })
      show(io, json, rotated, () => `${rotated.moved} moved, ${rotated.current} were current`)
      if (rotated.failed.length > 0) throw new RunFailed(`cannot be unwrapped: ${rotated.failed.join(', ')}`)
    })
}

const erasureOf = async (io: Io, id: string): Promise<ErasureView> =>
  erasureView.parse(await clientOf(io).request('GET', `/v1/privacy/erasures/${encodeURIComponent(id)}`))

const eraseHere = async (io: Io, subject: string): Promise<ErasureView> => {
  const body = subject.includes('@') ? { email: subject } : { userId: subject }
  const { id } = (await clientOf(io).request('POST', '/v1/privacy/erasures', { body })) as { id: string }
  return erasureOf(io, id)
}
