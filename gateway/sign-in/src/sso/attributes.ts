import type { Role, SsoRoleRule } from '@omium/schemas'

/** What an identity provider said about somebody: texts by the name of the claim or attribute. */
export type Attributes = ReadonlyMap<string, readonly string[]>

const deepest = 4
const most = 500

/** Claims as attributes; `realm_access: {roles: ["a"]}` is `realm_access.roles`. What is no text, number or truth value is left out. */
export const attributesOfClaims = (claims: Readonly<Record<string, unknown>>): Attributes => {
  const found = new Map<string, readonly string[]>()
  const add = (name: string, value: unknown, depth: number): void => {
    if (found.size >= most || depth > deepest) return
    const values = (Array.isArray(value) ? value : [value]).filter((one) =>
      ['string', 'number', 'boolean'].includes(typeof one),
    )
    if (values.length > 0) found.set(name, values.map(String))
    else if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [key, inner] of Object.entries(value)) add(`${name}.${key}`, inner, depth + 1)
  }
  for (const [name, value] of Object.entries(claims)) add(name, value, 1)
  return found
}

/** The first rule that fits. */
export const ruleFor = (rules: readonly SsoRoleRule[], attributes: Attributes): SsoRoleRule | undefined =>
  rules.find(({ attribute, value }) => attributes.get(attribute)?.includes(value) === true)

export interface Mapped {
  readonly role: Role | undefined
  /** undefined: the default role, or none */
  readonly rule: SsoRoleRule | undefined
}

export const roleFor = (
  { rules, defaultRole }: { readonly rules: readonly SsoRoleRule[]; readonly defaultRole: Role | null },
  attributes: Attributes,
): Mapped => {
  const rule = ruleFor(rules, attributes)
  return { role: rule?.role ?? defaultRole ?? undefined, rule }
}

const first = (attributes: Attributes, names: readonly string[]): string | undefined => {
  for (const name of names) {
    const value = attributes.get(name)?.[0]
    if (value) return value
  }
  return undefined
}

/** The names that identity providers have for an address, in the order in which they are looked for. */
const emailAttributes = [
  'email',
  'mail',
  'emailAddress',
  'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress',
  'urn:oid:0.9.2342.19200300.100.1.3',
]
const nameAttributes = [
  'displayName',
  'name',
  'http://schemas.microsoft.com/identity/claims/displayname',
  'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name',
  'urn:oid:2.16.840.1.113730.3.1.241',
]

/** Address and name out of SAML attributes; the address may be the NameID itself. */
export const personIn = (
  attributes: Attributes,
  nameId: string,
  {
    emailAttribute,
    nameAttribute,
  }: { readonly emailAttribute?: string | undefined; readonly nameAttribute?: string | undefined },
): { readonly email: string | undefined; readonly name: string | undefined } => ({
  email:
    first(attributes, emailAttribute === undefined ? emailAttributes : [emailAttribute]) ??
    (emailAttribute === undefined && nameId.includes('@') ? nameId : undefined),
  name: first(attributes, nameAttribute === undefined ? nameAttributes : [nameAttribute]),
})
