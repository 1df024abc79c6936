import { type ModelSettings, type ModelSettingsInput, parseModelSettings } from './settings.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Settings for those who have none: every provider whose key is in the environment, under the names of its own models.
 * `provider/model` works for each; what fits nothing goes to the OpenAI-compatible endpoint.
 * @param localUrl base URL of the scripted model server, which answers for everything when there is no provider
 */
export const settingsFromEnvironment = (env: Environment, localUrl?: string, localModel = 'local'): ModelSettings => {
  const providers: ModelSettingsInput['providers'] = {}
  const models: ModelSettingsInput['models'] = {}
  const route = (pattern: string, provider: string, model?: string) => {
    models[pattern] ??= { targets: [{ provider, ...(model && { model }) }] }
  }
  if (env['OPENAI_API_KEY'] || env['OPENAI_BASE_URL']) {
    providers['openai'] = {
      dialect: 'openai',
      baseUrl: env['OPENAI_BASE_URL'] || 'https://api.openai.com/v1',
      ...(env['OPENAI_API_KEY'] && { apiKey: 'env:OPENAI_API_KEY' }),
    }
  }
  if (env['ANTHROPIC_API_KEY']) {
    const baseUrl = env['ANTHROPIC_BASE_URL'] || 'https://api.anthropic.com'
    providers['anthropic'] = { dialect: 'anthropic', baseUrl, apiKey: 'env:ANTHROPIC_API_KEY' }
    route('claude-*', 'anthropic')
  }
  const geminiKey = ['GEMINI_API_KEY', 'GOOGLE_API_KEY'].find((name) => env[name])
  if (geminiKey) {
    const baseUrl = env['GEMINI_BASE_URL'] || 'https://generativelanguage.googleapis.com/v1beta'
    providers['gemini'] = { dialect: 'gemini', baseUrl, apiKey: `env:${geminiKey}` }
    route('gemini-*', 'gemini')
  }
  if (env['AZURE_OPENAI_API_KEY'] && env['AZURE_OPENAI_ENDPOINT']) {
    providers['azure'] = {
      dialect: 'azure',
      baseUrl: env['AZURE_OPENAI_ENDPOINT'],
      apiKey: 'env:AZURE_OPENAI_API_KEY',
      ...(env['OPENAI_API_VERSION'] && { apiVersion: env['OPENAI_API_VERSION'] }),
    }
  }
  if (env['OLLAMA_HOST']) {
    const host = env['OLLAMA_HOST'].includes('://') ? env['OLLAMA_HOST'] : `http://${env['OLLAMA_HOST']}`
    providers['ollama'] = { dialect: 'openai', baseUrl: `${host.replace(/\/+$/, '')}/v1` }
  }
  for (const name of Object.keys(providers)) route(`${name}/*`, name)
  const general = ['openai', 'azure', 'ollama'].find((name) => providers[name])
  if (general) route('*', general)
  if (localUrl) {
    const known = Object.keys(providers).length > 0
    providers['local'] = { dialect: 'openai', baseUrl: localUrl, scripted: true }
    route(known ? localModel : '*', 'local', localModel)
  }
  return parseModelSettings({ version: 1, providers, models }, 'the environment')
}
