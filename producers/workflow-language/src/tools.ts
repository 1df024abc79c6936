const callable = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/

/** What a model calls an agent that it has as a tool; undefined when models have no way to say the agent's name. */
export const toolName = ({ agent, name }: { readonly agent: string; readonly name?: string | undefined }) => {
  const called = name ?? agent.replaceAll('.', '_')
  return callable.test(called) ? called : undefined
}
