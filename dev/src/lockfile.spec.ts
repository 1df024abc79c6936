import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { completed, type Lockfile, missingFrom } from './lockfile.ts'

const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as Lockfile

describe('the lockfile', () => {
  it('names the optional packages of every platform, so that `npm ci` takes it (npm run lockfile:complete)', () => {
    expect(Object.keys(missingFrom(lock))).toEqual([])
  })

  it('has the hash of every package that is not of one platform alone', () => {
    const unhashed = Object.entries(lock.packages).filter(
      ([path, { integrity, link, os }]) => path.includes('node_modules/') && !link && !integrity && !os,
    )
    expect(unhashed.map(([path]) => path)).toEqual([])
  })

  it('is completed with what the names of packages say', () => {
    const parent = { version: '1.0.0', dev: true, optionalDependencies: { '@x/y-linux-x64-musl': '1.0.0' } }
    const given: Lockfile = { packages: { '': {}, 'node_modules/a': { version: '2.0.0' }, 'node_modules/z': parent } }
    const { packages } = completed(given)
    expect(Object.keys(packages)).toEqual(['', 'node_modules/@x/y-linux-x64-musl', 'node_modules/a', 'node_modules/z'])
    expect(packages['node_modules/@x/y-linux-x64-musl']).toEqual({
      version: '1.0.0',
      cpu: ['x64'],
      dev: true,
      libc: ['musl'],
      optional: true,
      os: ['linux'],
    })
    const unnamed = { ...parent, optionalDependencies: { fsevents: '1.0.0' } }
    expect(() => missingFrom({ packages: { 'node_modules/z': unnamed } })).toThrow(/fsevents/)
  })
})
