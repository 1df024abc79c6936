import { execFileSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/**
 * Makes what is published of this package: JavaScript, declarations and the catalogue in `@omium/schemas` that they use, because
 * Node runs no TypeScript below node_modules.
 *
 *     node sdk/typescript/pack.ts [FOLDER]     # prints the path of the tarball; dist/ unless given
 */

const here = import.meta.dirname
const root = join(here, '../..')
const out = process.argv[2] ?? join(here, 'dist')
const built = join(out, 'built')
const staged = join(out, 'package')

/** besides what `exports` names: programs of their own, which nothing imports */
const programs = ['worker/stall-thread', 'hermetic/child-process']

interface Manifest {
  readonly version: string
  readonly license: string
  readonly exports: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
}
const manifestOf = (folder: string): Manifest => JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
const own = manifestOf('sdk/typescript')
const schemas = manifestOf('schemas')

rmSync(out, { recursive: true, force: true })
mkdirSync(staged, { recursive: true })

const project = join(out, 'tsconfig.json')
const sources = [...Object.values(own.exports), ...programs.map((name) => `./src/${name}.ts`)]
writeFileSync(
  project,
  JSON.stringify({
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      declaration: true,
      rewriteRelativeImportExtensions: true,
      rootDir: root,
      outDir: built,
      typeRoots: [join(root, 'node_modules/@types')],
      // a source like the others, not a library
      paths: { '@omium/schemas': [join(root, 'schemas/src/index.ts')] },
    },
    files: sources.map((file) => join(here, file)),
    include: [],
    exclude: [],
  }),
)
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project], { stdio: 'inherit' })

renameSync(join(built, 'sdk/typescript/src'), join(staged, 'dist'))
renameSync(join(built, 'schemas/src'), join(staged, 'dist/schemas'))
const catalogue = join(staged, 'dist/schemas/index.js')
for (const file of globSync('dist/**/*.{js,d.ts}', { cwd: staged }).map((name) => join(staged, name))) {
  const path = relative(dirname(file), catalogue)
  const specifier = path.startsWith('.') ? path : `./${path}`
  writeFileSync(
    file,
    readFileSync(file, 'utf8')
      .replaceAll(/(['"])@omium\/schemas\1/g, `'${specifier}'`)
      // what the compiler leaves: addresses of programs, and imports in declarations
      .replaceAll(/((?:from |import\(|new URL\()['"]\.[^'"]*)\.ts(['"])/g, '$1.js$2'),
  )
}

const compatible = (versions: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(versions).flatMap(([name, version]) => (name.startsWith('@omium/') ? [] : [[name, `^${version}`]])),
  )
const emitted = (source: string, extension: string): string =>
  source.replace('./src/', './dist/').replace(/\.ts$/, extension)
writeFileSync(
  join(staged, 'package.json'),
  `${JSON.stringify(
    {
      name: '@omium/sdk',
      version: own.version,
      description: 'Durable agents on Omium: client, worker and test harness',
      keywords: ['agents', 'durable execution', 'workflows', 'llm', 'event sourcing'],
      license: own.license,
      type: 'module',
      engines: { node: '>=24' },
      sideEffects: false,
      // for resolvers that do not know exports
      main: './dist/index.js',
      types: './dist/index.d.ts',
      exports: {
        ...Object.fromEntries(
          Object.entries(own.exports).map(([name, source]) => [
            name,
            { types: emitted(source, '.d.ts'), default: emitted(source, '.js') },
          ]),
        ),
        './package.json': './package.json',
      },
      files: ['dist', 'CHANGELOG.md'],
      dependencies: { ...compatible(own.dependencies), ...compatible(schemas.dependencies) },
      peerDependencies: { '@types/node': '>=24' },
      peerDependenciesMeta: { '@types/node': { optional: true } },
    },
    null,
    2,
  )}\n`,
)
for (const name of ['README.md', 'CHANGELOG.md']) cpSync(join(here, name), join(staged, name))
cpSync(join(root, 'LICENSE'), join(staged, 'LICENSE'))

const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', out], { cwd: staged, encoding: 'utf8' })
process.stdout.write(`${join(out, packed.trim())}\n`)
