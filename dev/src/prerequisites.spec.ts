import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findJava, missingPrerequisites } from './prerequisites.mjs'

let machine: string
beforeEach(() => {
  machine = mkdtempSync(join(tmpdir(), 'omium-machine-'))
  for (const folder of ['bin', 'jvm', 'tools', 'root']) mkdirSync(join(machine, folder))
})
afterEach(() => rmSync(machine, { recursive: true, force: true }))

const executable = (path: string): void => {
  writeFileSync(path, '#!/bin/sh\nexit 1\n')
  chmodSync(path, 0o755)
}
const install = (...names: string[]): void => {
  for (const name of names) executable(join(machine, 'bin', name))
}
const installJava = (major: number): string => {
  const home = join(machine, 'jvm', `jdk-${major}`)
  mkdirSync(join(home, 'bin'), { recursive: true })
  executable(join(home, 'bin/java'))
  writeFileSync(join(home, 'release'), `IMPLEMENTOR="x"\nJAVA_VERSION="${major}.0.2"\n`)
  return home
}
const env = (more: Record<string, string> = {}): Record<string, string> => ({
  PATH: join(machine, 'bin'),
  OMIUM_JVM_DIR: join(machine, 'jvm'),
  ...more,
})
const missing = (more: Record<string, string> = {}): string[] =>
  missingPrerequisites({ env: env(more), root: join(machine, 'root'), toolsDir: join(machine, 'tools') })

describe('the prerequisites of the local stack', () => {
  it('are complete with Java 21, Maven and Go', () => {
    installJava(21)
    install('mvn', 'go')
    expect(missing()).toEqual([])
  })

  it('each get one line with the fix when nothing is there', () => {
    const lines = missing()
    expect(lines.map((line) => line.split(' is ')[0])).toEqual([
      'A Java of version 21 or newer',
      'Maven',
      'Go 1.24 or newer',
    ])
    for (const line of lines) {
      expect(line).toMatch(/install/)
      expect(line).not.toContain('\n')
    }
  })

  it('say which Java was found when it is too old', () => {
    installJava(17)
    install('mvn', 'go')
    expect(missing()).toEqual([expect.stringMatching(/^A Java of version 21 .*newest one found is Java 17/)])
  })

  it('ask for Java 17 only when the registry is external', () => {
    installJava(17)
    install('mvn', 'go')
    expect(missing({ OMIUM_SCHEMA_REGISTRY_URL: 'http://registry' })).toEqual([])
  })

  it('are none when every service is external', () => {
    const external = {
      OMIUM_KAFKA_BROKERS: 'a:1',
      OMIUM_SCHEMA_REGISTRY_URL: 'http://registry',
      OMIUM_REDIS_URL: 'redis://r',
      OMIUM_S3_ENDPOINT: 'http://s3',
      OMIUM_DATABASE_URL: 'postgres://p/d',
    }
    expect(missing(external)).toEqual([])
  })

  it('leave Go out once the S3 server is built', () => {
    installJava(25)
    install('mvn')
    mkdirSync(join(machine, 'tools/versitygw-v1'))
    expect(missing()).toEqual([])
  })

  it('include Python only when the Python SDK is there', () => {
    installJava(25)
    install('mvn', 'go')
    expect(missing()).toEqual([])
    mkdirSync(join(machine, 'root/sdk/python'), { recursive: true })
    expect(missing()).toEqual([expect.stringMatching(/^Python 3\.11/)])
  })

  it('choose the newest Java, or the one that OMIUM_JAVA_HOME names', () => {
    const old = installJava(17)
    installJava(21)
    installJava(25)
    expect(findJava(17, env())?.major).toBe(25)
    expect(findJava(17, env({ OMIUM_JAVA_HOME: old }))?.major).toBe(17)
    expect(findJava(21, env({ OMIUM_JAVA_HOME: old }))).toBeUndefined()
  })
})
