/**
 * What `npm ci` asks of package-lock.json beyond what `npm install` writes.
 *
 * npm leaves out of the lockfile what the registry at hand does not carry, e.g. optional packages of other platforms that a
 * mirror has not fetched; `npm ci` then refuses the file. Their versions are pinned by the packages that want them, and
 * their platforms are in their names; only the hash is missing, which whoever installs on such a platform gets from there.
 */
export interface LockedPackage {
  readonly version?: string
  readonly integrity?: string
  readonly link?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

export interface Lockfile {
  readonly packages: Readonly<Record<string, LockedPackage>>
}

const platforms: Readonly<Record<string, string>> = {
  android: 'android',
  darwin: 'darwin',
  freebsd: 'freebsd',
  linux: 'linux',
  openharmony: 'openharmony',
  win32: 'win32',
  windows: 'win32',
}
const processors: Readonly<Record<string, string>> = {
  64: 'x64',
  arm: 'arm',
  arm64: 'arm64',
  ia32: 'ia32',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  x64: 'x64',
}

const firstOf = (words: readonly string[], meanings: Readonly<Record<string, string>>): string | undefined =>
  words.map((word) => meanings[word]).find((meaning) => meaning !== undefined)

const libcOf = (words: readonly string[]): string | undefined => {
  if (words.some((word) => word.startsWith('musl'))) return 'musl'
  return words.some((word) => word.startsWith('gnu')) ? 'glibc' : undefined
}

/** Optional packages that the lockfile lacks, by where they belong. @throws Error when a name tells no platform, or a version is not pinned */
export const missingFrom = ({ packages }: Lockfile): Record<string, LockedPackage> => {
  const missing: Record<string, LockedPackage> = {}
  for (const [path, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const at = `node_modules/${name}`
      if (packages[at] || packages[`${path}/${at}`]) continue
      const words = name.split(/[/-]/)
      const os = firstOf(words, platforms)
      const cpu = firstOf(words, processors)
      if (os === undefined || cpu === undefined || !/^\d+\.\d+\.\d+/.test(version)) {
        throw new Error(
          `${name} ${version}, which ${path} would like to have, is not locked, and cannot be locked by its name`,
        )
      }
      const libc = os === 'linux' ? libcOf(words) : undefined
      missing[at] = {
        version,
        cpu: [cpu],
        ...(dev && { dev }),
        ...(libc !== undefined && { libc: [libc] }),
        optional: true,
        os: [os],
      }
    }
  }
  return missing
}

/** The lockfile with everything that `npm ci` asks for, in npm's own order. */
export const completed = <L extends Lockfile>(lock: L): L => {
  const { '': root, ...rest } = { ...lock.packages, ...missingFrom(lock) }
  const sorted = Object.entries(rest).sort(([a], [b]) => a.localeCompare(b, 'en'))
  return { ...lock, packages: { ...(root && { '': root }), ...Object.fromEntries(sorted) } }
}
