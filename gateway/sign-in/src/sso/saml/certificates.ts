import { X509Certificate } from 'node:crypto'

/** A certificate's bytes in PEM. */
export const pemOf = (bytes: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${(bytes.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`

/**
 * A certificate that identity providers may sign with: with an RSA key that holds.
 * @param given PEM, or the base64 of its bytes as XML has it
 * @returns PEM
 * @throws RangeError that says what is wrong
 */
export const signingCertificate = (given: string): string => {
  const text = given.includes('BEGIN CERTIFICATE') ? given : pemOf(Buffer.from(given.replace(/\s/g, ''), 'base64'))
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(text)
  } catch (cause) {
    throw new RangeError('one of them is no X.509 certificate', { cause })
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey
  if (type !== 'rsa' || (details?.modulusLength ?? 0) < 2048)
    throw new RangeError('expected RSA keys of 2048 bits or more')
  return pemOf(certificate.raw)
}

/** Whose it is, and until when. What signs is not refused afterwards: identity providers take it for a key and nothing more. */
export const certificateView = (pem: string): { pem: string; subject: string; expiresAt: string } => {
  const { subject, validToDate } = new X509Certificate(pem)
  return { pem, subject, expiresAt: validToDate.toISOString() }
}
