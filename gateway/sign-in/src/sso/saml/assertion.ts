import { z } from 'zod'
import { type SamlRefusal, samlRefused } from './refusal.ts'

/**
 * Whether a signed assertion is meant for this sign-in, here, now (SAML 2.0 Profiles, section 4.1.4.2). The signature was
 * checked before; these are all the other conditions, in one place, so that each refusal can say which it was.
 */
export interface Expected {
  /** the identity provider's */
  readonly entityId: string
  /** this service's, for this connection */
  readonly audience: string
  readonly acsUrl: string
  /** of the request that this browser was sent with; undefined: nobody asked */
  readonly requestId: string | undefined
  readonly nowMs: number
}

export interface SamlAnswer {
  readonly assertionId: string
  /** nobody takes it afterwards */
  readonly expiresAt: number
  readonly nameId: string
  /** whether the name is another one at each sign-in */
  readonly transient: boolean
  /** when they proved who they are, ms; 0 when it does not say */
  readonly authenticatedAt: number
  readonly attributes: ReadonlyMap<string, readonly string[]>
}

/** how far clocks may be apart */
export const clockSkewMs = 60_000
const transientFormat = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient'
const bearer = 'urn:oasis:names:tc:SAML:2.0:cm:bearer'

/** As xml2js gives elements: members by name, each a list; `$` attributes, `_` text. */
const attributesOf = z.record(z.string(), z.string()).default({})
const text = z.looseObject({ _: z.string(), $: attributesOf })
const confirmation = z.looseObject({
  $: attributesOf,
  SubjectConfirmationData: z.array(z.looseObject({ $: attributesOf })).default([]),
})
const attributeValue = z.union([z.string(), z.looseObject({ _: z.string().optional() })])
const attribute = z.looseObject({ $: attributesOf, AttributeValue: z.array(attributeValue).default([]) })
/** an element without anything in it is an empty text */
const attributeStatement = z.union([
  z.string().transform(() => ({ Attribute: [] })),
  z.looseObject({ Attribute: z.array(attribute).default([]) }),
])
const assertionElement = z.looseObject({
  $: attributesOf,
  Issuer: z.array(text).length(1),
  Subject: z
    .array(z.looseObject({ NameID: z.array(text).length(1), SubjectConfirmation: z.array(confirmation).min(1) }))
    .length(1),
  Conditions: z
    .array(
      z.looseObject({
        $: attributesOf,
        AudienceRestriction: z.array(z.looseObject({ Audience: z.array(text) })).default([]),
      }),
    )
    .length(1),
  AuthnStatement: z.array(z.looseObject({ $: attributesOf })).min(1),
  AttributeStatement: z.array(attributeStatement).default([]),
})
type AssertionElement = z.infer<typeof assertionElement>
type Confirmation = z.infer<typeof confirmation>

const instant = (value: string | undefined): number | undefined => {
  const ms = value === undefined ? Number.NaN : Date.parse(value)
  return Number.isNaN(ms) ? undefined : ms
}

/** A time that is there has to be one: what cannot be read does not hold. */
const outside = ({ $ }: { $: Record<string, string> }, nowMs: number): SamlRefusal | undefined => {
  const { NotBefore: from, NotOnOrAfter: until } = $
  if (from !== undefined && !(nowMs + clockSkewMs >= (instant(from) ?? Number.POSITIVE_INFINITY)))
    return 'not_yet_valid'
  if (until !== undefined && !(nowMs - clockSkewMs < (instant(until) ?? 0))) return 'expired'
  return undefined
}

const confirmationRefusal = (
  { $, SubjectConfirmationData }: Confirmation,
  expected: Expected,
): SamlRefusal | undefined => {
  const [data] = SubjectConfirmationData
  if ($['Method'] !== bearer || SubjectConfirmationData.length !== 1 || !data) return 'recipient'
  if (data.$['Recipient'] !== expected.acsUrl) return 'recipient'
  if (data.$['NotOnOrAfter'] === undefined) return 'expired'
  return outside(data, expected.nowMs) ?? (data.$['InResponseTo'] === expected.requestId ? undefined : 'in_response_to')
}

const refusalOf = (assertion: AssertionElement, expected: Expected): SamlRefusal | undefined => {
  const [issuer] = assertion.Issuer
  const [conditions] = assertion.Conditions
  if (issuer?._ !== expected.entityId) return 'issuer'
  const confirmations = assertion.Subject[0]?.SubjectConfirmation ?? []
  const refusals = confirmations.map((one) => confirmationRefusal(one, expected))
  if (refusals.every((one) => one !== undefined)) return refusals[0] ?? 'recipient'
  if (!conditions) return 'audience'
  const { AudienceRestriction: restrictions } = conditions
  const meant = ({ Audience }: { Audience: { _: string }[] }) => Audience.some(({ _ }) => _ === expected.audience)
  if (restrictions.length === 0 || !restrictions.every(meant)) return 'audience'
  return outside(conditions, expected.nowMs)
}

const attributesIn = ({ AttributeStatement }: AssertionElement): Map<string, string[]> => {
  const found = new Map<string, string[]>()
  for (const { $, AttributeValue } of AttributeStatement.flatMap(({ Attribute }) => Attribute)) {
    const values = AttributeValue.flatMap((value) => (typeof value === 'string' ? [value] : (value._ ?? [])))
    const name = $['Name']
    if (name !== undefined) found.set(name, [...(found.get(name) ?? []), ...values.map((value) => value.trim())])
  }
  return found
}

/**
 * @param signed the signed assertion, read by xml2js
 * @throws OmiumError `sso_assertion_refused`
 */
export const readAssertion = (signed: unknown, expected: Expected): SamlAnswer => {
  const parsed = z.object({ Assertion: assertionElement }).safeParse(signed)
  if (!parsed.success) throw samlRefused('malformed', parsed.error)
  const { Assertion: assertion } = parsed.data
  const refusal = refusalOf(assertion, expected)
  if (refusal) throw samlRefused(refusal)
  const nameId = assertion.Subject[0]?.NameID[0]
  const id = assertion.$['ID']
  if (!nameId?._ || !id) throw samlRefused('malformed')
  const ends = assertion.Subject.flatMap(({ SubjectConfirmation }) => SubjectConfirmation)
    .flatMap(({ SubjectConfirmationData }) => SubjectConfirmationData)
    .map(({ $ }) => instant($['NotOnOrAfter']) ?? 0)
  const authenticatedAt = instant(assertion.AuthnStatement[0]?.$['AuthnInstant']) ?? 0
  return {
    assertionId: id,
    expiresAt: Math.max(...ends) + clockSkewMs,
    nameId: nameId._.trim(),
    transient: nameId.$['Format'] === transientFormat,
    authenticatedAt: Math.min(authenticatedAt, expected.nowMs),
    attributes: attributesIn(assertion),
  }
}
