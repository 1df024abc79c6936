import { OmiumError } from '@omium/schemas'

/**
 * Loads a part of the platform that only some commands need, when they need it: the rest of the CLI knows nothing but the
 * API contract. @throws OmiumError `unavailable` when it is not installed here
 */
export const loadPlatform = async <Module extends object>(
  specifier: string,
  functions: readonly (keyof Module & string)[],
): Promise<Module> => {
  let module: Partial<Module>
  try {
    module = (await import(specifier)) as Partial<Module>
  } catch (cause) {
    throw new OmiumError('unavailable', `this command needs ${specifier}, which cannot be loaded here`, { cause })
  }
  const missing = functions.filter((name) => typeof module[name] !== 'function')
  if (missing.length > 0) throw new OmiumError('unavailable', `${specifier} has no ${missing.join(' and no ')}`)
  return module as Module
}
