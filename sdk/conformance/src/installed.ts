import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = join(import.meta.dirname, '../../..')

/** A project outside of the repository that has the TypeScript SDK as it is published, and what it depends on. */
export interface Project {
  readonly folder: string
  /** of the installed package */
  readonly manifest: { readonly version: string; readonly dependencies: Readonly<Record<string, string>> }
  write(file: string, text: string): void
  /** Checks types. @throws what the compiler says */
  check(compilerOptions?: object): void
  /** @param args of node @returns what it prints */
  node(args: readonly string[], env?: Readonly<Record<string, string>>): string
}

export const startProject = (folder: string): Project => {
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): string => {
    const given = { PATH: process.env['PATH'], ...env }
    try {
      return execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', env: given, stdio: 'pipe' })
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string }
      throw new Error(`${stdout}\n${stderr}`, { cause: error })
    }
  }
  const tarball = run([join(root, 'sdk/typescript/pack.ts'), join(folder, 'packed')]).trim()
  const installed = join(folder, 'node_modules/@omium/sdk')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Project['manifest']
  for (const name of [...Object.keys(manifest.dependencies), '@types/node', 'undici-types']) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), link)
  }
  const write = (file: string, text: string): void => writeFileSync(join(folder, file), text)
  write('package.json', '{ "type": "module" }')
  return {
    folder,
    manifest,
    write,
    check(compilerOptions = {}) {
      const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true }
      const modules = { target: 'ES2024', lib: ['ESNext'], module: 'NodeNext', types: ['node'] }
      const options = { ...strict, ...modules, noEmit: true, skipLibCheck: false, ...compilerOptions }
      write('tsconfig.json', JSON.stringify({ compilerOptions: options, include: ['*.ts', '*.cts'] }))
      run([join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'])
    },
    node: run,
  }
}

/** The blocks of a guide in one language, which are one program. */
export const programOf = (guide: string, language: string): string => {
  const text = readFileSync(join(root, 'docs/guides', guide), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'))]
    .map(([, code]) => code)
    .join('\n')
}
