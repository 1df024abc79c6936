import type { SessionCallers } from '@omium/access'
import { eventually, newApiKey, spawnService } from '@omium/dev/testing'
import { openCommandSender } from '@omium/log'
import { createPersonalData, createSubjectKeys, kmsOf } from '@omium/personal-data'
import { identityProjection, membershipsOf } from '@omium/projection-identity'
import { createReads } from '@omium/projection-kit'
import { aggregateKey, type IdentityContextCommand, platformTenant } from '@omium/schemas'
import { expect } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { openedLater, openFrame } from '../frame.ts'

/** What a person proved, and when; absent: they signed in just now. */
export interface Proofs {
  readonly authenticatedAt?: number
  readonly mfaAt?: number
}
/** Who asks: a key (`once`: with this idempotency key), or `<tenant>/<user>`. */
export type As =
  | { readonly key: string; readonly once?: string }
  | { readonly person: string; readonly proofs?: Proofs }
  | null

/** Has signed in for the first time; `home` is the tenant that was founded with them. */
export interface Somebody {
  readonly userId: string
  readonly email: string
  /** its digest */
  readonly address: string
  readonly home: string
  /** in one of their tenants */
  at(tenant: string): As
}

const sessions: SessionCallers = {
  callerOf: async (headers) => {
    const [tenant, userId] = String(headers['x-spec-session'] ?? '').split('/')
    const proofs = JSON.parse(String(headers['x-spec-proofs'] ?? '{}')) as Proofs
    return tenant && userId
      ? { tenant, userId, sessionId: `ses_of_${userId}`, amr: [], authenticatedAt: Date.now(), ...proofs }
      : undefined
  },
}

const start = async (apiKey: string) => {
  const frame = await openFrame({
    OMIUM_LOCAL_API_KEY: apiKey,
    OMIUM_RATE_SENSITIVE: '0',
    OMIUM_IDENTITY_PORT: '0',
  })
  const { env, pool, logs, adopt, close } = frame
  const { context } = logs.identity
  const service = await spawnService('consumers/identity/src/main.ts', env)
  adopt(service, (one) => one.stop())
  const sender = adopt(await openCommandSender(context), (one) => one.close())
  await frame.project(identityProjection, 'identity')
  await service.waitForLine(/"msg":"ready"/, 90_000)
  const { kms, digestKey } = readConfig(env)
  const gateway = async (commandTimeoutMs: number, readWaitMs: number) =>
    adopt(await frame.startGateway({ commandTimeoutMs, limits: { readWaitMs } }, { sessions }), (one) => one.close())
  return {
    env,
    pool,
    reads: createReads(pool),
    ids: context.ids,
    sender,
    personalData: createPersonalData({ kms: kmsOf(kms), keys: createSubjectKeys(pool), digestKey, nowMs: Date.now }),
    gateway: await gateway(15_000, 5_000),
    /** gives up waiting for outcomes at once: most of its routes have nobody behind them here */
    hasty: await gateway(1, 1),
    close,
  }
}

/**
 * The real log, database, identity process and read model behind the gateway, once it is opened. Only sessions are handed in by the
 * spec: a header says who asks, in place of a token.
 */
export const identityWorld = () => {
  const localKey = newApiKey()
  const world = openedLater(() => start(localKey))
  const { parts } = world

  const call = async (as: As, method: string, path: string, body?: unknown, at = parts().gateway) => {
    const response = await fetch(`${at.url}${path}`, {
      method,
      headers: {
        ...(as && 'key' in as && { authorization: `Bearer ${as.key}`, ...(as.once && { 'idempotency-key': as.once }) }),
        ...(as && 'person' in as && { 'x-spec-session': as.person, 'x-spec-proofs': JSON.stringify(as.proofs ?? {}) }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const json = text && response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : null
    // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
    return { status: response.status, body: json as any }
  }
  const local: As = { key: localKey }

  const send = (aggregate: string, tenant: string, { type, data }: IdentityContextCommand) =>
    parts().sender.send({
      id: parts().ids('command'),
      type,
      data,
      aggregate,
      tenant,
      actor: 'system',
      correlationId: 'spec',
    })
  const toUser = (userId: string, command: IdentityContextCommand) =>
    send(aggregateKey('user', platformTenant, userId), platformTenant, command)

  let people = 0
  const somebody = async (): Promise<Somebody> => {
    const n = ++people
    const email = `person${n}@example.org`
    const userId = `usr_${n}`
    const home = `ten_home${n}`
    const address = parts().personalData.digest('email', email)
    await send(aggregateKey('address', platformTenant, address), platformTenant, {
      type: 'ClaimAddress',
      data: { userId },
    })
    await toUser(userId, {
      type: 'RegisterUser',
      data: {
        address,
        email: await parts().personalData.seal(userId, email),
        login: { method: 'magic_link', issuer: 'omium', subject: address },
        tenant: { id: home, name: `Home of ${n}` },
      },
    })
    await eventually(async () => expect(await membershipsOf(parts().reads, userId)).toHaveLength(1), {
      timeoutMs: 20_000,
    })
    return { userId, email, address, home, at: (tenant) => ({ person: `${tenant}/${userId}` }) }
  }

  /** Invites somebody into a tenant; they accept. */
  const join = async (by: As, tenant: string, person: Somebody, role: string) => {
    const invited = await call(by, 'POST', '/v1/invitations', { email: person.email, role })
    expect(invited.status).toBe(201)
    const accepted = await call(
      person.at(person.home),
      'POST',
      `/v1/me/invitations/${tenant}/${invited.body.id}/accept`,
    )
    expect(accepted.status).toBe(200)
  }

  return {
    /** the key of the local tenant, and whoever asks with it */
    localKey,
    local,
    ...world,
    call,
    send,
    toUser,
    somebody,
    join,
  }
}
export type IdentityWorld = ReturnType<typeof identityWorld>
