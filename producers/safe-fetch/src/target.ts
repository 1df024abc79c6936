import { isIP } from 'node:net'
import { OmiumError } from '@omium/schemas'
import { type AddressRules, createAddressRules, type EgressRules } from './addresses.ts'

/** A URL that was read in one way only. */
export interface Target {
  readonly url: URL
  /** without brackets: a name or an address */
  readonly host: string
  readonly port: number
}

const longestUrl = 2048
/** the authority of an absolute URL, as it is written */
const written = /^https?:\/\/([^/?#]*)/i

export const refused = (detail: string): OmiumError => new OmiumError('address_refused', detail)

/** Printable ASCII without the backslash: what parsers drop, fold or turn around is not there. */
export const isPlain = (text: string): boolean => text.length <= longestUrl && /^[!-[\]-~]+$/.test(text)

/**
 * Reads a URL. Refuses whatever another reader might take for another host: user info, backslashes, control and non-ASCII
 * characters, escapes in the host, numbers for an address (`2130706433`, `0x7f.1`, `0177.0.0.1`).
 * @throws OmiumError `address_refused`
 */
export const readTarget = (text: string, rules: Pick<EgressRules, 'http'>): Target => {
  const authority = isPlain(text) ? written.exec(text)?.[1] : undefined
  if (authority === undefined || !URL.canParse(text)) throw refused('the URL is not a plain http(s) URL')
  if (authority.includes('@')) throw refused('the URL has a user or a password in it')
  const url = new URL(text)
  if (url.protocol !== 'https:' && !rules.http) throw refused('only https is taken')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const asWritten = authority.replace(/:\d*$/, '').toLowerCase()
  if (!asWritten.startsWith('[') && asWritten !== url.hostname)
    throw refused(`the host is written in a form that is read as ${host}; write that`)
  const standard = url.protocol === 'https:' ? 443 : 80
  return { url, host, port: url.port === '' ? standard : Number(url.port) }
}

/** @throws OmiumError `address_refused` when the host is an address that may not be called */
export const judgeLiteral = ({ host, port }: Target, addresses: AddressRules): void => {
  const why = isIP(host) === 0 ? undefined : addresses.refusal(host, port)
  if (why !== undefined) throw refused(`${host}: ${why}`)
}

/**
 * Whether a URL can be called at all, as far as its text tells; what its name resolves to is judged when it is called.
 * @throws OmiumError `address_refused`
 */
export const checkTarget = (text: string, rules: EgressRules): void =>
  judgeLiteral(readTarget(text, rules), createAddressRules(rules))
