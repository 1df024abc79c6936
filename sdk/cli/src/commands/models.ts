import type { Command } from 'commander'
import { clientOf } from '../connection.ts'
import type { Io } from '../io.ts'
import { table } from '../output.ts'

export const addModelsCommand = (program: Command, io: Io): void => {
  program
    .command('models')
    .description('what the model gateway can be asked')
    .command('ls')
    .description('list models, the providers that answer for them in turn, and prices in dollars per million tokens')
    .option('--json', 'one JSON object per line')
    .action(async ({ json }: { json?: boolean }) => {
      const models = await clientOf(io).models()
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
