import { OmiumError } from '@omium/schemas'
import type { Command } from 'commander'
import { changeContexts, checkContextName, contextInForce, localContext, readContexts } from '../contexts/contexts.ts'
import type { Io } from '../io.ts'
import { show, table } from '../output.ts'
import { readSecret } from '../prompts.ts'
import { checkUrl, keepContext } from './login.ts'

interface Flags {
  json?: boolean
}

const unknown = (name: string) =>
  new OmiumError('settings_invalid', `there is no context ${name}: omium context ls shows those that are`)

/** The platforms that a person works with. */
export const addContextCommand = (program: Command, io: Io): void => {
  const context = program.command('context').description('platforms that you work with, and the one in force')

  context
    .command('ls')
    .description('those that are known')
    .option('--json', 'one JSON object per line')
    .action(({ json }: Flags) => {
      const current = contextInForce(io)?.name
      const items = Object.entries(readContexts(io).contexts).map(([name, { url, tenant, credential }]) => ({
        name,
        current: name === current,
        url,
        tenant,
        opens: credential.kind,
      }))
      if (json) for (const item of items) io.out(JSON.stringify(item))
      else if (items.length === 0) io.out('no contexts: omium login makes one')
      else
        io.out(
          table(
            ['', 'name', 'url', 'tenant', 'with'],
            items.map((one) => [one.current ? '*' : '', one.name, one.url, one.tenant, one.opens]),
          ),
        )
    })

  context
    .command('use')
    .description(`work with this one from now on; \`${localContext}\` is the local stack of the nearest project`)
    .argument('<name>')
    .option('--json', 'one JSON document')
    .action(async (name: string, { json }: Flags) => {
      await changeContexts(io, (contexts) => {
        if (name === localContext) delete contexts.current
        else if (contexts.contexts[name]) contexts.current = name
        else throw unknown(name)
      })
      show(io, json, { current: name }, () => `${name} is in force`)
    })

  context
    .command('add')
    .description('with an API key, from a prompt or from standard input')
    .argument('<name>')
    .argument('<url>')
    .option('--models-url <url>', 'of the model gateway')
    .option('--json', 'one JSON document')
    .action(async (name: string, given: string, { modelsUrl, json }: Flags & { modelsUrl?: string }) => {
      const url = checkUrl(given)
      const apiKey = await readSecret(io, `API key of ${url}`)
      const known = await keepContext(io, checkContextName(name), url, { kind: 'key', apiKey })
      if (modelsUrl !== undefined)
        await changeContexts(io, ({ contexts }) => {
          const kept = contexts[name]
          if (kept) kept.modelsUrl = checkUrl(modelsUrl)
        })
      show(io, json, known, () => `${name} is in force`)
    })

  context
    .command('rm')
    .description('forget one; a session goes on: omium logout ends it')
    .argument('<name>')
    .option('--json', 'one JSON document')
    .action(async (name: string, { json }: Flags) => {
      await changeContexts(io, (contexts) => {
        if (!contexts.contexts[name]) throw unknown(name)
        delete contexts.contexts[name]
        if (contexts.current === name) delete contexts.current
      })
      show(io, json, { removed: name }, () => `${name} is forgotten`)
    })
}
