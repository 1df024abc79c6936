import { readConfig, settingsFromEnvironment, startModelGateway } from '@omium/model-gateway'
import { type ModelServerOptions, modelName, startModelServer } from '@omium/model-server'
import { pino } from 'pino'
import { z } from 'zod'

const listed = z.object({
  data: z.array(z.object({ id: z.string(), omium: z.object({ scripted: z.boolean() }).optional() })),
})

/** Whether what answers at `OPENAI_BASE_URL` is a real model, and not the stack's scripted stand-in. */
export const hasRealModel = async (env: Readonly<Record<string, string | undefined>>): Promise<boolean> => {
  const { OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey } = env
  if (!baseUrl) return false
  const response = await fetch(`${baseUrl}/models`, { headers: { authorization: `Bearer ${apiKey ?? ''}` } }).catch(
    () => undefined,
  )
  const models = listed.safeParse(await response?.json().catch(() => undefined))
  return !models.data?.data.some(({ id, omium }) => id === '*' && omium?.scripted)
}

export interface DemoModels {
  /** with which workers reach them */
  readonly environment: Readonly<Record<string, string>>
  readonly model: string
  /** calls that reached the model since the start */
  readonly calls: number
  close(): Promise<void>
}

/**
 * A scripted model server of the demo's own, whose call log nobody else writes to, behind a model gateway like the stack's:
 * workers reach it in the same way as any model.
 * @param env reaches the stack
 */
export const startScriptedModels = async (
  env: Readonly<Record<string, string | undefined>>,
  options: ModelServerOptions,
): Promise<DemoModels> => {
  const server = await startModelServer(options)
  try {
    const config = readConfig({ ...env, OMIUM_MODELS_PORT: '0' })
    const settings = settingsFromEnvironment({}, server.baseUrl, modelName)
    const gateway = await startModelGateway(config, settings, {}, pino({ level: 'silent' }))
    return {
      environment: { OPENAI_BASE_URL: `${gateway.url}/v1`, OPENAI_API_KEY: env['OMIUM_API_KEY'] ?? '' },
      model: modelName,
      get calls() {
        return server.calls
      },
      close: async () => {
        await gateway.close()
        await server.close()
      },
    }
  } catch (error) {
    await server.close()
    throw error
  }
}
