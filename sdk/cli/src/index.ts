import { OmiumError } from '@omium/schemas'
import { Command, CommanderError } from 'commander'
import { addAgentsCommand } from './commands/agents.ts'
import { addCheckpointsCommand } from './commands/checkpoints.ts'
import { addCompletionCommand } from './commands/completion.ts'
import { addContextCommand } from './commands/contexts.ts'
import { addDevCommands } from './commands/dev.ts'
import { addExecutionsCommand } from './commands/executions.ts'
import { addKeysCommand } from './commands/keys.ts'
import { addLoginCommands } from './commands/login.ts'
import { addMembersCommands } from './commands/members.ts'
import { addMfaCommand } from './commands/mfa.ts'
import { addModelsCommand } from './commands/models.ts'
import { addPoliciesCommand } from './commands/policies.ts'
import { addPrivacyCommand } from './commands/privacy.ts'
import { addProjectionsCommand } from './commands/projections.ts'
import { addRecoveriesCommand } from './commands/recoveries.ts'
import { addReplayCommand } from './commands/replay.ts'
import { addReplaysCommand } from './commands/replays.ts'
import { addDiffCommand } from './commands/rewind.ts'
import { addRunCommand } from './commands/run.ts'
import { addSchedulesCommand } from './commands/schedules.ts'
import { addSessionsCommand } from './commands/sessions.ts'
import { addSsoCommand } from './commands/sso.ts'
import { addTenantsCommand } from './commands/tenants.ts'
import { addTriggersCommand } from './commands/triggers.ts'
import { addWebhooksCommand } from './commands/webhooks.ts'
import { addWorkflowsCommand } from './commands/workflows.ts'
import { exitCodeMeanings, exitCodeOf, exitCodes, Interrupted, UsageError } from './exit-codes.ts'
import type { Io } from './io.ts'

export { exitCodes } from './exit-codes.ts'
export { type Io, processIo } from './io.ts'

const settled = (command: Command, io: Io): void => {
  command
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text.trimEnd()), writeErr: (text) => io.err(text.trimEnd()) })
  for (const sub of command.commands) settled(sub, io)
}

const exitCodesText = (): string =>
  Object.entries(exitCodes)
    .map(([name, code]) => `  ${String(code).padEnd(5)}${exitCodeMeanings[name as keyof typeof exitCodes]}`)
    .join('\n')

/** Options that hold for all commands are settings too: what is said on the command line wins. */
const withFlags = (io: Io, program: Command): Io => ({
  ...io,
  get env() {
    const { context, url } = program.opts<{ context?: string; url?: string }>()
    return { ...io.env, ...(context && { OMIUM_CONTEXT: context }), ...(url && { OMIUM_URL: url }) }
  },
})

/** The whole command line. */
export const programOf = (outside: Io): Command => {
  const program = new Command('omium')
    .description('Durable agents: run them, watch them, steer them')
    .version('0.1.0')
    .option('--context <name>', 'the platform to work with, of those in omium context ls')
    .option('--url <url>', 'of the platform; OMIUM_URL')
    .addHelpText('after', () => `\nExit codes:\n${exitCodesText()}`)
  const io = withFlags(outside, program)
  program.commandsGroup('You:')
  addLoginCommands(program, io)
  addContextCommand(program, io)
  addMfaCommand(program, io)
  addSessionsCommand(program, io)
  program.commandsGroup('Runs:')
  addRunCommand(program, io)
  addExecutionsCommand(program, io)
  addAgentsCommand(program, io)
  addModelsCommand(program, io)
  addCheckpointsCommand(program, io)
  addDiffCommand(program, io)
  addReplayCommand(program, io)
  addReplaysCommand(program, io)
  addRecoveriesCommand(program, io)
  addPoliciesCommand(program, io)
  program.commandsGroup('Workflows and what happens by itself:')
  addWorkflowsCommand(program, io)
  addSchedulesCommand(program, io)
  addTriggersCommand(program, io)
  addWebhooksCommand(program, io)
  program.commandsGroup('The tenant:')
  addTenantsCommand(program, io)
  addMembersCommands(program, io)
  addKeysCommand(program, io)
  addSsoCommand(program, io)
  addPrivacyCommand(program, io)
  program.commandsGroup('The local stack:')
  addDevCommands(program, io)
  addProjectionsCommand(program, io)
  program.commandsGroup('This program:')
  addCompletionCommand(program, io)
  settled(program, outside)
  return program
}

/** What to do about it, where the command line knows more than whoever refused. */
const hintOf = ({ code, message }: OmiumError): string => {
  if (code === 'step_up_required') return '; a command in a terminal asks for that proof, and so does omium login'
  if (code === 'unavailable' && /\/\/(localhost|127\.0\.0\.1|\[::1\])\b.*ECONNREFUSED/.test(message))
    return '; omium status shows what of the local stack runs, omium dev starts it'
  return ''
}

/** Runs one command line (without `node omium`) and gives its exit code; never throws. */
export const main = async (argv: readonly string[], io: Io): Promise<number> => {
  try {
    await programOf(io).parseAsync(argv, { from: 'user' })
    return exitCodes.ok
  } catch (thrown) {
    // what a person did in the midst of a request comes wrapped (contexts/step-up.ts)
    const own =
      thrown instanceof OmiumError && (thrown.cause instanceof UsageError || thrown.cause instanceof Interrupted)
    const error = own ? thrown.cause : thrown
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const { message } = error as Error
    const text = error instanceof OmiumError ? `${error.code}: ${message}${hintOf(error)}` : message
    io.err(argv.includes('--json') && error instanceof OmiumError ? JSON.stringify(error.toFailure()) : text)
    return exitCodeOf(error)
  }
}
