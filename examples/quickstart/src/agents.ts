import { agent } from '@omium/sdk'
import { z } from 'zod'

/** Each step is recorded: kill the worker at any moment and the run goes on where it was. */
export const greeter = agent({
  id: 'greeter',
  description: 'Greets everybody by name, one recorded step each',
  input: z.object({ names: z.array(z.string()).min(1) }),
  async run({ names }, ctx) {
    const greetings = await Promise.all(
      names.map((name) => ctx.step('greet', () => `Hello, ${name}!`, { key: name, input: { name } })),
    )
    await ctx.sleep('1s')
    return greetings.join(' ')
  },
})
