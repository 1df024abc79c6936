import { encodedResponse, type SamlAnswerPlan, type SamlIdp, type SamlPerson } from '../../testing.ts'
import type { SamlAnswer } from './assertion.ts'
import type { SamlKeyPair } from './self-signed.ts'
import { createServiceProvider, type ServiceProvider } from './service-provider.ts'

/** For specs: a connection's side, and the way to its identity provider and back. */

export const providerFor = (
  connectionId: string,
  keys: SamlKeyPair,
  { entityId, keys: { certificate } }: Pick<SamlIdp, 'entityId' | 'keys'>,
  { nowMs = Date.now, certificates = [certificate] }: { nowMs?: () => number; certificates?: string[] } = {},
): ServiceProvider =>
  createServiceProvider({
    publicUrl: 'https://omium.example',
    connectionId,
    key: keys.key,
    settings: {
      kind: 'saml',
      entityId,
      ssoUrl: 'https://idp.example/sso',
      certificates,
      key: 'v1.sso_a.1.x',
      certificate: keys.certificate,
      idpInitiated: false,
    },
    nowMs,
  })

/** Makes another document of the identity provider's answer, as somebody on the way would. */
export type ForgeXml = (xml: string) => string

/** @throws whatever the connection refuses with */
export const roundTrip = async (
  provider: ServiceProvider,
  idp: SamlIdp,
  person: SamlPerson,
  changes: Partial<SamlAnswerPlan> = {},
  forge: ForgeXml = (xml) => xml,
): Promise<SamlAnswer> => {
  const { requestId } = await provider.begin(false)
  const xml = await idp.answer({ id: requestId, issuer: provider.entityId, acsUrl: provider.acsUrl }, person, changes)
  return provider.finish(encodedResponse(forge(xml)), requestId)
}

/** `taken`, or why not. */
export const reasonOf = (answer: Promise<unknown>): Promise<unknown> =>
  answer.then(
    () => 'taken',
    (error: { code?: string; data?: { reason?: string } }) => error.data?.reason ?? error.code ?? String(error),
  )
