import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { openCallLog } from './call-log.ts'
import { modelName, startModelServer } from './server.ts'

/** Runs the local model server in the foreground: `node examples/model-server/src/main.ts`. */
const settings = z
  .object({
    OMIUM_MODEL_PORT: z.coerce.number().int().min(0).max(65535).default(8095),
    OMIUM_MODEL_LATENCY_MS: z.coerce.number().int().min(0).max(600_000).default(60),
    OMIUM_MODEL_NONCE: z.stringbool().default(true),
    OMIUM_MODEL_CALL_LOG: z.string().optional(),
  })
  .safeParse(process.env)

if (!settings.success) {
  console.error(`settings_invalid: ${z.prettifyError(settings.error)}`)
  process.exitCode = 1
} else {
  const { OMIUM_MODEL_CALL_LOG: logPath } = settings.data
  if (logPath) mkdirSync(dirname(logPath), { recursive: true })
  const server = await startModelServer({
    port: settings.data.OMIUM_MODEL_PORT,
    latencyMs: settings.data.OMIUM_MODEL_LATENCY_MS,
    nonce: settings.data.OMIUM_MODEL_NONCE,
    ...(logPath && { callLog: openCallLog(logPath) }),
  })
  console.log(`${modelName}: a local, scripted stand-in for a language model. Its answers come from text processing.`)
  console.log(`OPENAI_BASE_URL=${server.baseUrl} OPENAI_API_KEY=local OPENAI_MODEL=${modelName}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close())
}
