import { readSecret } from '@omium/kit'
import { OmiumError } from '@omium/schemas'
import { anthropic } from '../dialects/anthropic.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { gemini } from '../dialects/gemini.ts'
import { azure, openai } from '../dialects/openai.ts'
import { listedName, listPrices, type ModelPrice, type PriceList, priceOf } from '../prices.ts'
import type { ModelSettings, ProviderSettings, RouteSettings } from './settings.ts'

/** A provider with its key in hand. Only `calls/` sees the key. */
export interface Provider {
  readonly name: string
  readonly dialect: Dialect
  readonly baseUrl: string
  /** of every request, the key's among them */
  readonly headers: Readonly<Record<string, string>>
  readonly settings: ProviderSettings
}

export interface Target {
  readonly provider: Provider
  /** the provider's own name */
  readonly model: string
}

export interface Route {
  /** as the caller asked */
  readonly name: string
  readonly targets: readonly Target[]
  readonly settings: RouteSettings
}

export interface ListedModel {
  readonly name: string
  readonly route: RouteSettings
  readonly price: ModelPrice | undefined
}

export interface Registry {
  readonly providers: ReadonlyMap<string, Provider>
  readonly prices: PriceList
  /** every key, for those that must not let one out */
  readonly secrets: readonly string[]
  /** @throws OmiumError `not_found` when this tenant has no such model */
  route(name: string, tenant: string): Route
  list(tenant: string): ListedModel[]
  /** what a call of this route costs that this model answered */
  price(route: Route, model: string): ModelPrice | undefined
  /**
   * The first of the names that the settings or the price list know, for metrics; `other` when they know none. Behind a route
   * that ends in `*` callers choose the names: as labels they would be without end.
   */
  label(...names: readonly string[]): string
}

const dialectOf = ({ dialect, apiVersion }: ProviderSettings): Dialect => {
  switch (dialect) {
    case 'openai':
      return openai
    case 'azure':
      return azure(apiVersion)
    case 'anthropic':
      return anthropic
    case 'gemini':
      return gemini
  }
}

/** @throws OmiumError `settings_invalid` when a key is not where it should be, all of them at once */
export const createRegistry = (
  settings: ModelSettings,
  env: Readonly<Record<string, string | undefined>>,
): Registry => {
  const secrets: string[] = []
  const problems: string[] = []
  const providers = new Map<string, Provider>()
  for (const [name, one] of Object.entries(settings.providers)) {
    const dialect = dialectOf(one)
    let auth = {}
    try {
      if (one.apiKey !== undefined) {
        const key = readSecret(one.apiKey, env)
        secrets.push(key)
        auth = dialect.auth(key)
      }
    } catch (error) {
      problems.push(`  providers.${name}.apiKey: ${error instanceof Error ? error.message : error}`)
    }
    const headers = { ...dialect.headers, ...one.headers, ...auth }
    providers.set(name, { name, dialect, baseUrl: one.baseUrl.replace(/\/+$/, ''), headers, settings: one })
  }
  if (problems.length > 0)
    throw new OmiumError('settings_invalid', `${problems.length} bad setting(s)\n${problems.join('\n')}`)

  const prices: PriceList = settings.prices
    ? { version: settings.prices.version, models: { ...listPrices.models, ...settings.prices.models } }
    : listPrices
  const patterns = Object.keys(settings.models)
    .filter((name) => name.endsWith('*'))
    .sort((a, b) => b.length - a.length)

  const named = new Set(
    Object.values(settings.models).flatMap(({ targets }) => targets.flatMap(({ model }) => model ?? [])),
  )
  for (const name of Object.keys(settings.models)) if (!name.endsWith('*')) named.add(name)

  const open = (route: RouteSettings | undefined, tenant: string): route is RouteSettings =>
    route !== undefined && (route.tenants === undefined || route.tenants.includes(tenant))
  const targetsOf = (route: RouteSettings, name: string): Target[] =>
    route.targets.flatMap(({ provider, model }) => {
      const found = providers.get(provider)
      return found ? [{ provider: found, model: model ?? name }] : []
    })

  return {
    providers,
    prices,
    secrets,
    route(name, tenant) {
      const exact = Object.hasOwn(settings.models, name) ? settings.models[name] : undefined
      if (open(exact, tenant)) return { name, targets: targetsOf(exact, name), settings: exact }
      // a name of its own that is closed to this tenant does not fall through to a pattern
      for (const pattern of exact ? [] : patterns) {
        const prefix = pattern.slice(0, -1)
        const route = settings.models[pattern]
        if (!name.startsWith(prefix) || !open(route, tenant)) continue
        // `openai/*`: the provider's own names have no such beginning
        const own = prefix.endsWith('/') && providers.has(prefix.slice(0, -1)) ? name.slice(prefix.length) : name
        return { name, targets: targetsOf(route, own), settings: route }
      }
      throw new OmiumError('not_found', `there is no model "${name}"; GET /v1/models lists those there are`)
    },
    list: (tenant) =>
      Object.entries(settings.models)
        .filter(([, route]) => open(route, tenant))
        .map(([name, route]) => ({
          name,
          route,
          price: route.price ?? priceOf(prices, route.targets[0]?.model ?? name),
        })),
    price: ({ settings: route }, model) => route.price ?? priceOf(prices, model),
    label(...names) {
      for (const name of names) {
        const known = named.has(name) ? name : listedName(prices, name)
        if (known !== undefined) return known
      }
      return 'other'
    },
  }
}
