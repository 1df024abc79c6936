import type { Java } from '../prerequisites.mjs'
import type { Profile } from './component.ts'

/** Flags for a JVM of the local stack: small, and in tests quick to start rather than quick for ever. */
export const jvmFlags = (java: Java, profile: Profile, heapMb: number): string[] => [
  `-Xmx${heapMb}m`,
  '-Xss512k',
  '-XX:+UseSerialGC',
  '-XX:+ExitOnOutOfMemoryError',
  // no shared file in /tmp: the JVM's owner may change
  '-XX:-UsePerfData',
  ...(profile === 'test' ? ['-XX:TieredStopAtLevel=1'] : []),
  ...(java.major >= 24 ? ['--enable-native-access=ALL-UNNAMED', '--sun-misc-unsafe-memory-access=allow'] : []),
]
