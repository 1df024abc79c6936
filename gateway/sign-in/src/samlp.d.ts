/** The part of samlp that specs use. */
declare module 'samlp' {
  interface SamlpUser {
    readonly nameId: string
    readonly format?: string
    readonly attributes: Readonly<Record<string, string | readonly string[]>>
  }
  interface SamlpOptions {
    readonly issuer: string
    readonly cert: string
    readonly key: string
    readonly audience: string
    readonly recipient: string
    readonly destination: string
    readonly inResponseTo: string | undefined
    readonly lifetimeInSeconds: number
    readonly signAssertion: boolean
    readonly signResponse: boolean
    readonly signatureAlgorithm: string
    readonly digestAlgorithm: string
    readonly encryptionCert?: string
    readonly encryptionPublicKey?: string
    readonly encryptionAlgorithm?: string
    readonly disallowEncryptionWithInsecureAlgorithm?: boolean
    readonly warnOnInsecureEncryptionAlgorithm?: boolean
    profileMapper(user: SamlpUser): {
      getClaims(): SamlpUser['attributes']
      getNameIdentifier(): { nameIdentifier: string; nameIdentifierFormat: string | undefined }
    }
  }
  interface SamlpRequest {
    readonly id?: string
    readonly issuer?: string
    readonly forceAuthn?: string
    readonly assertionConsumerServiceURL?: string
  }
  const samlp: {
    getSamlResponse(
      options: SamlpOptions,
      user: SamlpUser,
      callback: (error: Error | null, response: string) => void,
    ): void
    parseRequest(
      request: { readonly method: string; readonly query: Readonly<Record<string, string>> },
      options: { readonly signingCert?: string },
      callback: (error: Error | null, request: SamlpRequest) => void,
    ): void
  }
  export default samlp
}
