import { permissions, roles } from '@omium/schemas'

const list = (names: readonly string[]): string => names.map((name) => JSON.stringify(name)).join(', ')

/** What policies may speak of, as a Cedar schema: whatever else they name is refused when they are read. */
export const vocabulary = `
entity Tenant;
entity Role enum [${list(roles)}];
entity User in [Tenant, Role] { isService: Bool };
entity ApiKey in [Tenant] { isService: Bool };
entity Resource in [Tenant] { kind: String, id?: String, ids: Set<String> };
type Context = {
  ip: ipaddr,
  timeMs: Long,
  hour: Long,
  weekday: String,
  mfaAgeMs?: Long,
  environment: String,
  route: String,
};
action ${list([...permissions, 'authenticated'])}
  appliesTo { principal: [User, ApiKey], resource: Resource, context: Context };
`
