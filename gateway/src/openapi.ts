import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { createJsonSchemaTransform } from 'fastify-type-provider-zod'
import { type Document, describe, type RouteFacts } from './openapi/document.ts'

/** the page is a program that asks this server, and nobody else, for everything */
const docsPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const docs = '/docs'

/** Describes every route that is added later. To be called before routes are guarded: it declares those of {@link showOpenApi} public. */
export const installOpenApi = async (app: FastifyInstance): Promise<void> => {
  const routes: RouteFacts[] = []
  app.addHook('onRoute', (route) => {
    if (route.url === docs || route.url.startsWith(`${docs}/`)) route.config = { ...route.config, public: true }
  })
  app.addHook('onRoute', (route) => {
    const { method, url, config } = route
    const path = url.replaceAll(/:(\w+)/g, '{$1}')
    for (const one of [method].flat())
      routes.push({
        method: String(one),
        path,
        permission: config?.permission,
        // said by a hook that comes later
        get reads() {
          return route.config?.reads !== undefined
        },
      })
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Omium', version: '1', description: 'Durable execution for teams of AI agents.' },
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
      security: [{ apiKey: [] }],
    },
    transform: createJsonSchemaTransform({ zodToJsonConfig: { unrepresentable: 'any' } as object }),
    transformObject: (made) =>
      'openapiObject' in made
        ? (describe(made.openapiObject as unknown as Document, routes) as object)
        : made.swaggerObject,
  })
}

/** `/openapi.json`, and `/docs`: a page to read it and try it out. */
export const showOpenApi = async (app: FastifyInstance): Promise<void> => {
  await app.register(swaggerUi, { routePrefix: docs, staticCSP: docsPolicy, uiConfig: { deepLinking: true } })
  app.get('/openapi.json', { config: { public: true }, schema: { hide: true } as object }, async () => app.swagger())
}
