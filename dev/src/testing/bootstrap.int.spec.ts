import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { root } from '../layout.ts'
import { which } from '../prerequisites.mjs'

describe('the bootstrap', () => {
  const folder = mkdtempSync(join(tmpdir(), 'omium-bare-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const bare = (verb: string): { status: number | null; stderr: string } => {
    if (!existsSync(join(folder, 'npm'))) symlinkSync(which('npm') ?? '', join(folder, 'npm'))
    return spawnSync(process.execPath, [join(root, 'dev/bootstrap.mjs'), verb], {
      encoding: 'utf8',
      env: {
        PATH: folder,
        OMIUM_JVM_DIR: folder,
        OMIUM_HOME: join(folder, 'home'),
        OMIUM_TOOLS_DIR: join(folder, 'tools'),
      },
    })
  }

  it('says everything that is missing before it makes or starts anything', () => {
    const { status, stderr } = bare('start')
    expect(status).toBe(1)
    const lines = stderr.trim().split('\n')
    for (const what of ['Java', 'Maven', 'Go '])
      expect(lines.filter((line) => line.includes(`${what}`)).length).toBeGreaterThan(0)
    for (const line of lines) expect(line).toMatch(/needed.*install/)
    for (const made of ['home', 'tools']) expect(existsSync(join(folder, made))).toBe(false)
  })

  it('knows its verbs', () => {
    const { status, stderr } = bare('nonsense')
    expect(status).toBe(1)
    expect(stderr).toContain('test:unit')
  })

  it('asks for nothing of the stack where the stack is not needed', () => {
    const run = spawnSync(process.execPath, [join(root, 'dev/bootstrap.mjs'), 'status'], {
      encoding: 'utf8',
      env: {
        PATH: `${folder}:${dirname(process.execPath)}:/usr/bin:/bin`,
        OMIUM_JVM_DIR: folder,
        OMIUM_HOME: join(folder, 'home'),
        HOME: folder,
      },
    })
    expect(run.stdout).toContain('nothing runs')
    expect(run.status).toBe(3)
  })
})
