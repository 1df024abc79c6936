import { createLogger, runService, settingsOrExit } from '@omium/kit'
import { modelName, startModelServer } from '@omium/model-server'
import { configOf, modelGatewaySettings } from './config.ts'
import { startModelGateway } from './gateway.ts'
import { settingsFromEnvironment } from './registry/defaults.ts'
import { readModelSettings } from './registry/settings.ts'

/** The process that answers model calls. */
const settings = settingsOrExit(modelGatewaySettings)
const logger = createLogger('models', settings.OMIUM_LOG_LEVEL)

await runService({
  logger,
  drainMs: 10_000,
  async start(life) {
    const config = configOf(settings)
    const scripted = config.local && !config.file ? await startModelServer() : undefined
    if (scripted) life.onClose('scripted model', () => scripted.close())
    const models = config.file
      ? readModelSettings(config.file)
      : settingsFromEnvironment(process.env, scripted?.baseUrl, modelName)
    const gateway = await startModelGateway(config, models, process.env, logger)
    life.onClose('http', () => gateway.close())
    const providers = Object.entries(models.providers).map(([name, { scripted: isScripted }]) =>
      isScripted ? `${name} (scripted, not a language model)` : name,
    )
    logger.info({ url: gateway.url, providers, models: Object.keys(models.models) }, 'listening')
  },
})
