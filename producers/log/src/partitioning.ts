/**
 * Which partition a key belongs to: murmur2 of its UTF-8 bytes, as the Java client's and kafkajs's default partitioners
 * compute it (org.apache.kafka.common.utils.Utils.murmur2), so that a producer in any language agrees.
 */
const seed = 0x9747b28c
const m = 0x5bd1e995

/** 32-bit signed murmur2 hash. */
export const murmur2 = (data: Buffer): number => {
  const { length } = data
  let h = seed ^ length
  const whole = length & ~3
  for (let i = 0; i < whole; i += 4) {
    let k = data.readInt32LE(i)
    k = Math.imul(k, m)
    k ^= k >>> 24
    k = Math.imul(k, m)
    h = Math.imul(h, m) ^ k
  }
  for (let i = length - 1; i >= whole; i--) h ^= (data[i] as number) << ((i - whole) * 8)
  if (whole < length) h = Math.imul(h, m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

export const partitionFor = (key: string, partitionCount: number): number =>
  (murmur2(Buffer.from(key, 'utf8')) & 0x7fffffff) % partitionCount
