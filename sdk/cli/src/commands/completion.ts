import { Argument, type Command } from 'commander'
import { completionScript, type Shell, shells } from '../completion/scripts.ts'
import { wordsOf } from '../completion/words.ts'
import type { Io } from '../io.ts'

/** Prints a script that completes command lines; it is made from the commands themselves. */
export const addCompletionCommand = (program: Command, io: Io): void => {
  program
    .command('completion')
    .description('print a script that completes command lines, for a shell to source')
    .addArgument(new Argument('<shell>').choices(shells))
    .action((shell: Shell) => io.out(completionScript(shell, wordsOf(program)).trimEnd()))
}
