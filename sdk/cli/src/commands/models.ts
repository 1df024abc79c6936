import { OmiumError } from '@omium/schemas'
import type { Command } from 'commander'
import { z } from 'zod'
import { modelsConnectionOf } from '../connection.ts'
import type { Io } from '../io.ts'
import { table } from '../output.ts'

const listed = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      omium: z.object({
        targets: z.array(z.object({ provider: z.string(), model: z.string().optional() })),
        scripted: z.boolean(),
        price: z.object({ input: z.number(), output: z.number(), version: z.string() }).optional(),
      }),
    }),
  ),
})
const refused = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

const readModels = async (io: Io): Promise<z.infer<typeof listed>['data']> => {
  const { url, apiKey } = modelsConnectionOf(io)
  let response: Response
  try {
    const signal = AbortSignal.any([io.interrupted, AbortSignal.timeout(30_000)])
    response = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${apiKey}` }, signal })
  } catch (cause) {
    throw new OmiumError('unavailable', `the model gateway at ${url} cannot be reached`, { cause })
  }
  const body: unknown = await response.json().catch(() => undefined)
  const models = listed.safeParse(body)
  if (response.ok && models.success) return models.data.data
  const { data } = refused.safeParse(body)
  if (data) throw new OmiumError(data.error.code as OmiumError['code'], data.error.message)
  throw new OmiumError('unavailable', `${url} answers ${response.status} and is not the model gateway`)
}

export const addModelsCommand = (program: Command, io: Io): void => {
  program
    .command('models')
    .description('what the model gateway can be asked')
    .command('ls')
    .description('list models, the providers that answer for them in turn, and prices in dollars per million tokens')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: { json?: boolean }) => {
      const models = await readModels(io)
      if (json) for (const model of models) io.out(JSON.stringify(model))
      else if (models.length === 0) io.out('no models: set a provider key (OPENAI_API_KEY, ...) and start again')
      else
        io.out(
          table(
            ['model', 'answered by', 'input', 'output'],
            models.map(({ id, omium: { targets, scripted, price } }) => [
              id,
              targets.map(({ provider, model }) => (model ? `${provider}/${model}` : provider)).join(', then ') +
                (scripted ? ' (scripted)' : ''),
              price ? `$${price.input}` : '',
              price ? `$${price.output}` : '',
            ]),
          ),
        )
    })
}
