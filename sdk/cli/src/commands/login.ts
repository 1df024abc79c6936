import { isLoopback, OmiumError } from '@omium/schemas'
import { omium } from '@omium/sdk'
import type { Command } from 'commander'
import { clientOf, connectionOf, urlToSignInAt } from '../connection.ts'
import { type Credential, changeContexts, checkContextName } from '../contexts/contexts.ts'
import { signInByDevice } from '../contexts/device.ts'
import { sessionOf } from '../contexts/session.ts'
import { UsageError } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { show } from '../output.ts'
import { readSecret } from '../prompts.ts'

interface Flags {
  json?: boolean
}

/** @throws UsageError for an address over which secrets would travel readable */
export const checkUrl = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['http:', 'https:'].includes(url.protocol)) throw new UsageError(`${text} is not an http(s) URL`)
  if (url.protocol === 'http:' && !isLoopback(text))
    throw new UsageError(`${text} is not encrypted: use https, http is for this machine only`)
  return text.replace(/\/+$/, '')
}

/** Keeps what opens a platform under a name, after having seen that it does. @returns what is known of it */
export const keepContext = async (io: Io, name: string, url: string, credential: Credential) => {
  const opens =
    credential.kind === 'key' ? { apiKey: credential.apiKey } : { accessToken: async () => credential.accessToken }
  const { tenant, actor } = await omium({ url, ...opens }).me()
  await changeContexts(io, (contexts) => {
    const modelsUrl = contexts.contexts[name]?.modelsUrl
    contexts.contexts[name] = { url, tenant, credential, ...(modelsUrl && { modelsUrl }) }
    contexts.current = name
  })
  return { context: name, url, tenant, actor }
}

interface LoginFlags extends Flags {
  key?: boolean
  name?: string
  browser: boolean
}

const addLogin = (program: Command, io: Io): void => {
  program
    .command('login')
    .description('sign in: in a browser, on this machine or on another one, or with an API key')
    .argument('[url]', 'of the platform; the context in force, or the local stack, unless given')
    .option('--key', 'with an API key, from a prompt or from standard input')
    .option('--name <context>', 'under which it is kept; the host unless given')
    .option('--no-browser', 'only print the address')
    .option('--json', 'one JSON document')
    .action(async (given: string | undefined, { key, name, browser, json }: LoginFlags) => {
      const url = checkUrl(given ?? urlToSignInAt(io))
      const kept = checkContextName(name ?? (io.env['OMIUM_CONTEXT'] || new URL(url).host))
      const credential: Credential = key
        ? { kind: 'key', apiKey: await readSecret(io, 'API key') }
        : sessionOf(await signInByDevice(io, url, { browser }), Date.now())
      if (credential.kind === 'key' && credential.apiKey === '') throw new UsageError('no API key was given')
      const known = await keepContext(io, kept, url, credential)
      show(io, json, known, () => `${known.actor} is signed in to ${url}, in ${known.tenant} (context ${kept})`)
    })
}

const addLogout = (program: Command, io: Io): void => {
  program
    .command('logout')
    .description('end the session, and forget the context in force')
    .option('--json', 'one JSON document')
    .action(async ({ json }: Flags) => {
      const { from, name } = connectionOf(io)
      if (from !== 'context' || name === undefined) throw new UsageError('nobody is signed in')
      const told = await clientOf(io)
        .request('POST', '/auth/sign-out', { body: {} })
        .then(() => true)
        .catch((error: unknown) => {
          if (!(error instanceof OmiumError)) throw error
          return error.code === 'session_ended' || error.code === 'unauthenticated'
        })
      await changeContexts(io, (contexts) => {
        delete contexts.contexts[name]
        if (contexts.current === name) delete contexts.current
      })
      if (!told) io.err('the platform could not be told: end the session there, in the list of sessions')
      show(io, json, { context: name, ended: told }, () => `${name} is forgotten`)
    })
}

const addWhoami = (program: Command, io: Io): void => {
  program
    .command('whoami')
    .description('who asks, where, and what they may do')
    .option('--json', 'one JSON document')
    .action(async ({ json }: Flags) => {
      const { from, name, options } = connectionOf(io)
      const me = await clientOf(io).me()
      const known = { ...me, url: options.url, from, ...(name !== undefined && { context: name }) }
      show(io, json, known, () =>
        [
          ['who', me.actor],
          ['role', me.role],
          ['tenant', me.tenant],
          ['url', options.url],
          ['from', name ?? from],
          ['may', me.permissions.join(', ')],
        ]
          .flatMap(([what, value]) => (value ? [`${what?.padEnd(8)}${value}`] : []))
          .join('\n'),
      )
    })
}

export const addLoginCommands = (program: Command, io: Io): void => {
  addLogin(program, io)
  addLogout(program, io)
  addWhoami(program, io)
}
