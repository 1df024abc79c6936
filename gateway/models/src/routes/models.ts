import { callerOf } from '@omium/access'
import { OmiumError } from '@omium/schemas'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { ListedModel, Registry } from '../registry/registry.ts'
import type { ModelService } from '../service.ts'
import { type ChatRequest, chatRequest, type EmbeddingsRequest, embeddingsRequest } from '../wire/chat.ts'
import { parsed } from './requests.ts'

/** What there is to ask, what it costs, and what a request could cost at most. */
export const installModelRoutes = (app: FastifyInstance, registry: Registry, service: ModelService): void => {
  const view = ({ name, route, price }: ListedModel) => {
    const providers = route.targets.map(({ provider }) => registry.providers.get(provider))
    return {
      id: name,
      object: 'model',
      created: 0,
      owned_by: route.targets[0]?.provider ?? '',
      omium: {
        // a name that ends in `*` stands for all that begin so
        pattern: name.endsWith('*'),
        targets: route.targets.map(({ provider, model }) => ({ provider, ...(model && { model }) })),
        scripted: providers.every((provider) => provider?.settings.scripted === true),
        ...(price && {
          /** US dollars per million tokens, which is micro-credits per token */
          price: { input: price.input, output: price.output, version: registry.prices.version },
        }),
      },
    }
  }

  const config = { permission: ['models:use', 'platform:read', 'workers:connect'], limitedKeys: true } as const
  app.get('/v1/models', { config }, async (request) => ({
    object: 'list',
    data: registry.list(callerOf(request).tenant).map(view),
  }))

  app.get<{ Params: { '*': string } }>('/v1/models/*', { config }, async (request) => {
    const { tenant } = callerOf(request)
    const name = request.params['*']
    const route = registry.route(name, tenant)
    const price = registry.price(route, route.targets[0]?.model ?? name)
    return view({ name, route: route.settings, price })
  })

  app.post('/v1/estimates', { config }, async (request) => {
    const { model } = parsed(z.looseObject({ model: z.string() }), request.body)
    const chat = typeof request.body === 'object' && request.body !== null && 'messages' in request.body
    const asked: ChatRequest | EmbeddingsRequest = chat
      ? parsed(chatRequest, request.body)
      : parsed(embeddingsRequest, request.body)
    const worstCase = service.worstCase(asked, callerOf(request).tenant)
    if (worstCase === undefined) throw new OmiumError('invalid_request', `${model} has no price`)
    return { model, worst_case_micro_credits: worstCase, price_version: registry.prices.version }
  })
}
