import { OmiumError } from '@omium/schemas'

/** Why an assertion was not taken; told to whoever tries a connection, and to the person in words. */
export type SamlRefusal =
  | 'malformed'
  | 'status'
  | 'algorithm'
  | 'encryption'
  | 'signature'
  | 'issuer'
  | 'destination'
  | 'recipient'
  | 'audience'
  | 'not_yet_valid'
  | 'expired'
  | 'in_response_to'
  | 'unsolicited'

const words: Readonly<Record<SamlRefusal, string>> = {
  malformed: 'it is not a SAML response that can be read',
  status: 'the identity provider says that the sign-in failed',
  algorithm: 'it is signed or digested with an algorithm that is not taken (SHA-256 and longer are)',
  encryption: 'it cannot be decrypted, or is encrypted with an algorithm that is not taken',
  signature: 'no assertion in it is signed with a certificate of the connection',
  issuer: 'it is of another identity provider',
  destination: 'it was sent to another address',
  recipient: 'it is for another recipient',
  audience: 'it is for another service',
  not_yet_valid: 'its time has not come: compare the clocks',
  expired: 'its time is over: begin again, or compare the clocks',
  in_response_to: 'it answers no question of this browser: begin again',
  unsolicited:
    'it began at the identity provider, which this connection does not allow: begin at the sign-in page here',
}

export const samlRefused = (reason: SamlRefusal, cause?: unknown): OmiumError =>
  new OmiumError('sso_assertion_refused', `the assertion does not hold: ${words[reason]}`, { cause, data: { reason } })
