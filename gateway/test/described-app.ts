import { type RouteRule, routeRules } from '@omium/access'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { buildApp } from '../src/app.ts'
import type { Document } from '../src/openapi/document.ts'
import { defaultLimits, type Services } from '../src/services.ts'

/** takes every call and every look, and does nothing: routes are only described, never asked */
const nothing: unknown = new Proxy(() => undefined, { get: (_, name) => (name === 'then' ? undefined : nothing) })

/** The gateway's OpenAPI document and what its routes need, without anything behind it. */
export const describedRoutes = async (): Promise<{ document: Document; rules: readonly RouteRule[] }> => {
  const own: Partial<Services> = {
    limits: defaultLimits,
    corsOrigins: [],
    trustedProxies: [],
    rates: { perKey: 0, perTenant: 0, perAddress: 0, sensitive: 0 },
    deltas: undefined,
    redis: undefined,
    policies: undefined,
    topicPrefix: 'described',
  }
  // its pages and redirects are not part of the document
  const signIn = { routes: async () => undefined }
  const services = new Proxy({ ...own, signIn } as object, {
    get: (target, name) => (Reflect.has(target, name) ? Reflect.get(target, name) : nothing),
  }) as Services
  const app = await buildApp(services, pino({ level: 'silent' }))
  const document = (app as unknown as { swagger(): Document }).swagger()
  const rules = [...routeRules(app as unknown as FastifyInstance)]
  await app.close()
  return { document, rules }
}

export const describedApp = async (): Promise<Document> => (await describedRoutes()).document
