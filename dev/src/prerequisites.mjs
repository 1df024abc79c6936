// Plain JavaScript without dependencies: the bootstrap runs it on whatever Node the machine has, before anything is installed.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The oldest JDKs that Kafka 4.1 and Apicurio Registry 3.3 run on. */
export const kafkaJava = 17
export const registryJava = 21

/** Full path of an executable on PATH, or undefined. */
export function which(name, env = process.env) {
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    if (folder === '') continue
    const candidate = join(folder, name)
    try {
      accessSync(candidate, constants.X_OK)
      return candidate
    } catch {}
  }
  return undefined
}

// The `release` file of a JDK tells its version without starting a JVM (40 ms each, and there may be many).
function javaMajor(home) {
  try {
    const found = /^JAVA_VERSION="(?:1\.)?(\d+)/m.exec(readFileSync(join(home, 'release'), 'utf8'))
    if (found) return Number(found[1])
  } catch {}
  const run = spawnSync(join(home, 'bin', 'java'), ['-version'], { encoding: 'utf8' })
  const found = /version "(?:1\.)?(\d+)/.exec(`${run.stderr ?? ''}${run.stdout ?? ''}`)
  return found ? Number(found[1]) : undefined
}

const folders = (parent) => {
  try {
    return readdirSync(parent).map((name) => join(parent, name))
  } catch {
    return []
  }
}

/** Every Java on the machine as `{ home, java, major }`, newest first; OMIUM_JAVA_HOME, when set, is the only one looked at. */
function findJavas(env = process.env) {
  const homes = env.OMIUM_JAVA_HOME
    ? [env.OMIUM_JAVA_HOME]
    : [
        ...(env.JAVA_HOME ? [env.JAVA_HOME] : []),
        ...folders(env.OMIUM_JVM_DIR ?? '/usr/lib/jvm'),
        ...(env.OMIUM_JVM_DIR
          ? []
          : folders('/Library/Java/JavaVirtualMachines').map((jdk) => join(jdk, 'Contents/Home'))),
      ]
  const javas = []
  for (const home of homes) {
    const java = join(home, 'bin', 'java')
    if (!existsSync(java)) continue
    const major = javaMajor(home)
    if (major) javas.push({ home, java, major })
  }
  const onPath = env.OMIUM_JAVA_HOME || javas.length > 0 ? undefined : which('java', env)
  if (onPath) {
    // macOS ships /usr/bin/java as a stub that works only when a JDK is installed; asking it where home is tells
    const run = spawnSync(onPath, ['-XshowSettings:properties', '-version'], { encoding: 'utf8' })
    const home = /java\.home = (.*)/.exec(run.stderr ?? '')?.[1]?.trim()
    const major = home ? javaMajor(home) : undefined
    if (home && major) javas.push({ home, java: onPath, major })
  }
  return javas.sort((a, b) => b.major - a.major)
}

/** The newest Java of at least `major`, or undefined. */
export function findJava(major, env = process.env) {
  return findJavas(env).find((java) => java.major >= major)
}

const external = (env, name) => (env[name] ?? '') !== ''

/**
 * What is missing on this machine for the local stack, one line each with its fix; empty when all is there.
 * A component that an external service replaces (OMIUM_KAFKA_BROKERS and so on) needs nothing.
 */
export function missingPrerequisites({ env = process.env, root, toolsDir } = {}) {
  const lines = []
  const javas = findJavas(env)
  const kafka = !external(env, 'OMIUM_KAFKA_BROKERS')
  const registry = !external(env, 'OMIUM_SCHEMA_REGISTRY_URL')
  const newest = javas[0]?.major
  const has = newest ? `the newest one found is Java ${newest}` : 'none was found'
  const jdkFix = (major) =>
    `install one (Debian: apt-get install openjdk-${major}-jre-headless or a Temurin build; macOS: brew install openjdk@${major}) or point OMIUM_JAVA_HOME at it`
  if (registry && !javas.some((java) => java.major >= registryJava)) {
    lines.push(
      `A Java of version ${registryJava} or newer is needed for the schema registry and Kafka; ${has}: ${jdkFix(registryJava)}.`,
    )
  } else if (kafka && !javas.some((java) => java.major >= kafkaJava)) {
    lines.push(`A Java of version ${kafkaJava} or newer is needed for Kafka; ${has}: ${jdkFix(kafkaJava)}.`)
  }
  const redis = !external(env, 'OMIUM_REDIS_URL') && !which('redis-server', env)
  if ((kafka || registry || redis) && !which('mvn', env)) {
    lines.push(
      'Maven is needed to fetch Kafka and the registry; mvn is not on PATH: install it (Debian: apt-get install maven; macOS: brew install maven).',
    )
  }
  const s3 = !external(env, 'OMIUM_S3_ENDPOINT') && !which('versitygw', env)
  const s3Built = toolsDir !== undefined && folders(toolsDir).some((name) => /versitygw-/.test(name))
  if (s3 && !s3Built && !which('go', env)) {
    lines.push(
      'Go 1.24 or newer is needed to build the S3 server; go is not on PATH: install it (Debian: apt-get install golang-go; macOS: brew install go).',
    )
  }
  if (root !== undefined && existsSync(join(root, 'sdk/python')) && !which('python3', env)) {
    lines.push(
      'Python 3.11 or newer is needed for sdk/python; python3 is not on PATH: install it (Debian: apt-get install python3 python3-venv; macOS: brew install python).',
    )
  }
  return lines
}
