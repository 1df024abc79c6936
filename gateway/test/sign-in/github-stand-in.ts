import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface GithubStandIn {
  readonly url: string
  user: { id: number; login: string; name: string | null }
  emails: { email: string; primary: boolean; verified: boolean }[]
  close(): Promise<void>
}

/** A stand-in for GitHub: the few documented routes that sign-in uses, and nothing else of it. It is not GitHub. */
export const startGithubStandIn = async (client: { id: string; secret: string }): Promise<GithubStandIn> => {
  const codes = new Map<string, { challenge: string; redirectUri: string }>()
  const tokens = new Set<string>()
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://github.invalid')
    const send = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body))
    if (url.pathname === '/login/oauth/authorize') {
      const query = url.searchParams
      const code = randomBytes(10).toString('hex')
      const redirectUri = query.get('redirect_uri') ?? ''
      codes.set(code, { challenge: query.get('code_challenge') ?? '', redirectUri })
      const back = new URL(redirectUri)
      back.search = new URLSearchParams({ code, state: query.get('state') ?? '' }).toString()
      return response.writeHead(302, { location: back.href }).end()
    }
    if (url.pathname === '/login/oauth/access_token') {
      let text = ''
      for await (const chunk of request) text += chunk
      const form = new URLSearchParams(text)
      const issued = codes.get(form.get('code') ?? '')
      codes.delete(form.get('code') ?? '')
      const challenge = createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest('base64url')
      const good =
        issued?.challenge === challenge &&
        issued.redirectUri === form.get('redirect_uri') &&
        form.get('client_id') === client.id &&
        form.get('client_secret') === client.secret
      // GitHub tells errors of this route with status 200
      if (!good) return send(200, { error: 'bad_verification_code', error_description: 'The code is incorrect.' })
      const token = `gho_${randomBytes(18).toString('hex')}`
      tokens.add(token)
      return send(200, { access_token: token, token_type: 'bearer', scope: 'read:user,user:email' })
    }
    if (!tokens.has(/^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? ''))
      return send(401, { message: 'Requires authentication' })
    if (url.pathname === '/user') return send(200, standIn.user)
    if (url.pathname === '/user/emails') return send(200, standIn.emails)
    return send(404, { message: 'Not Found' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const standIn: GithubStandIn = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    user: { id: 1, login: 'nobody', name: null },
    emails: [],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return standIn
}
