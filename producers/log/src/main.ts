import { contexts, OmiumError, readSettings } from '@omium/schemas'
import { logSettings, openLog } from './open.ts'

/**
 * Makes the topics and registers the schemas of every context, then ends: what a migration is to a database. Runs before
 * the platform's processes, so that they find everything there and need no right to create it.
 */
const say = (fields: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(fields)}\n`)

try {
  const settings = readSettings(process.env, logSettings)
  for (const definition of contexts) {
    const onNotice = ({ level, message, fields }: { level: string; message: string; fields: object }) =>
      say({ level, msg: message, ...fields })
    const context = await openLog(settings, { definition, clientId: 'omium-provision', onNotice })
    await context.codec.prepare(definition, ['event', 'command'])
    await context.transport.close()
    say({ msg: 'provisioned', context: definition.name })
  }
} catch (error) {
  const { code, message } = error instanceof OmiumError ? error : { code: 'unavailable', message: String(error) }
  say({ msg: 'provisioning failed', code, detail: message })
  process.exitCode = 1
}
