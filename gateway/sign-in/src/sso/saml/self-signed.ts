import { createSign, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { pemOf } from './certificates.ts'

/** What a service provider signs and decrypts with, both in PEM. */
export interface SamlKeyPair {
  /** PKCS#8 */
  readonly key: string
  /** X.509, signed by itself: identity providers take it for a wrapping of the public key and nothing more */
  readonly certificate: string
}

const lifeMs = 10 * 365 * 86_400_000

/** DER (X.690): tag, length, content. */
const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts)
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content])
  const digits = content.length.toString(16)
  const length = Buffer.from(digits.length % 2 ? `0${digits}` : digits, 'hex')
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content])
}
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts)
const commonNameOid = Buffer.from('0603550403', 'hex')
/** sha256WithRSAEncryption, no parameters */
const signatureAlgorithm = sequence(Buffer.from('06092a864886f70d01010b', 'hex'), Buffer.from('0500', 'hex'))
const nameOf = (commonName: string): Buffer =>
  sequence(der(0x31, sequence(commonNameOid, der(0x0c, Buffer.from(commonName)))))
/** GeneralizedTime, `YYYYMMDDHHMMSSZ` */
const timeOf = (ms: number): Buffer =>
  der(0x18, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]|\..*/g, '')}Z`))

/** An X.509 v1 certificate (RFC 5280, section 4.1), signed by the key that it is of. */
const selfSigned = (publicKey: KeyObject, privateKey: KeyObject, commonName: string, nowMs: number): string => {
  // positive and not zero-led, as INTEGER demands
  const serial = Buffer.concat([Buffer.from([0x40]), randomBytes(15)])
  const name = nameOf(commonName)
  const content = sequence(
    der(0x02, serial),
    signatureAlgorithm,
    name,
    sequence(timeOf(nowMs - 86_400_000), timeOf(nowMs + lifeMs)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = createSign('sha256').update(content).sign(privateKey)
  const certificate = sequence(content, signatureAlgorithm, der(0x03, Buffer.from([0]), signature))
  return pemOf(certificate)
}

/** RSA, 2048 bits: what every identity provider takes. */
export const createSamlKeyPair = async (commonName: string, nowMs: number): Promise<SamlKeyPair> => {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate: selfSigned(publicKey, privateKey, commonName, nowMs),
  }
}
