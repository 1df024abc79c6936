import { factorKinds } from '@omium/schemas'
import type { Command } from 'commander'
import { renderUnicodeCompact } from 'uqr'
import { z } from 'zod'
import { clientOf, signedInContext } from '../connection.ts'
import { keepTokens, sessionTokens } from '../contexts/session.ts'
import { UsageError } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { show, table } from '../output.ts'
import { confirm, readLine } from '../prompts.ts'

interface Flags {
  json?: boolean
}

const factors = z.object({
  items: z.array(
    z.object({
      id: z.string(),
      kind: z.enum(factorKinds),
      label: z.string(),
      addedAt: z.string(),
      usedAt: z.string().nullable(),
      suspectedAt: z.string().nullable(),
    }),
  ),
  recoveryCodesLeft: z.number(),
})
const begun = z.object({ secret: z.string(), uri: z.string(), ceremony: z.string() })
const added = sessionTokens.extend({ id: z.string(), recoveryCodes: z.array(z.string()).optional() })
const issued = z.object({ recoveryCodes: z.array(z.string()) })

const factorNames = { totp: 'authenticator app', security_key: 'security key', passkey: 'passkey' } as const

/** Light on dark in any terminal, as cameras want it, unless there are to be no colours. */
const qrCode = (io: Io, text: string): string => {
  const lines = renderUnicodeCompact(text).split('\n')
  return (io.env['NO_COLOR'] ? lines : lines.map((line) => `\u001b[97;40m${line}\u001b[0m`)).join('\n')
}

const keepThem =
  'Each gets you in once when your device is lost. They are shown this once: keep them where the device is not.'

/** Second factors of whoever is signed in. */
export const addMfaCommand = (program: Command, io: Io): void => {
  const mfa = program.command('mfa').description('second factors of whoever is signed in')

  mfa
    .command('status')
    .description('the factors that there are')
    .option('--json', 'one JSON document')
    .action(async ({ json }: Flags) => {
      signedInContext(io)
      const found = factors.parse(await clientOf(io).request('GET', '/auth/factors'))
      show(io, json, found, () =>
        found.items.length === 0
          ? 'no second factor: omium mfa add'
          : [
              table(
                ['id', 'kind', 'name', 'added', 'last used', ''],
                found.items.map(({ id, kind, label, addedAt, usedAt, suspectedAt }) => [
                  id,
                  factorNames[kind],
                  label,
                  addedAt,
                  usedAt ?? 'never',
                  suspectedAt ? 'it may have been copied' : '',
                ]),
              ),
              `${found.recoveryCodesLeft} recovery codes are left`,
            ].join('\n'),
      )
    })

  mfa
    .command('add')
    .description('add an authenticator app; security keys and passkeys are added in a browser, at /auth/factors')
    .option('--name <name>', 'what it is called', 'Authenticator app')
    .option('--json', 'one JSON document')
    .action(async ({ name: label, json }: Flags & { name: string }) => {
      const context = signedInContext(io)
      const client = clientOf(io)
      const { secret, uri, ceremony } = begun.parse(
        await client.request('POST', '/auth/factors/totp/begin', { body: {} }),
      )
      if (io.interactive) {
        io.err('Read this with the app:\n')
        io.draw(qrCode(io, uri))
        io.err(`\nor type the secret in: ${secret}\n`)
      } else io.err(uri)
      const code = await readLine(io, 'Code that the app shows')
      const answer = await client.request('POST', '/auth/factors/totp', { body: { code, label, ceremony } })
      const { id, recoveryCodes, ...tokens } = added.parse(answer)
      // the session has seen the factor now, and is no session without it any more
      await keepTokens(io, context, tokens)
      if (!json) io.err(`${label} is added (${id}).${recoveryCodes ? ` Recovery codes: ${keepThem}` : ''}`)
      show(io, json, { id, ...(recoveryCodes && { recoveryCodes }) }, () => recoveryCodes?.join('\n') ?? id)
    })

  mfa
    .command('recovery-codes')
    .description('make ten new recovery codes in place of those that there are')
    .option('--json', 'one JSON document')
    .action(async ({ json }: Flags) => {
      signedInContext(io)
      const { recoveryCodes } = issued.parse(await clientOf(io).request('POST', '/auth/recovery-codes', { body: {} }))
      if (!json) io.err(keepThem)
      show(io, json, { recoveryCodes }, () => recoveryCodes.join('\n'))
    })

  mfa
    .command('rm')
    .description('remove a factor; with the last one the recovery codes go as well')
    .argument('<id>')
    .option('--yes', 'without a question')
    .option('--json', 'one JSON document')
    .action(async (id: string, { yes, json }: Flags & { yes?: boolean }) => {
      signedInContext(io)
      if (!yes && !(io.interactive && (await confirm(`Remove ${id}?`)))) throw new UsageError('say --yes to remove it')
      await clientOf(io).request('DELETE', `/auth/factors/${encodeURIComponent(id)}`)
      show(io, json, { id }, () => `${id} is removed`)
    })
}
