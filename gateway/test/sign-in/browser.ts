import { parseSetCookie } from 'cookie'

/** What a visit ended with. */
export interface Page {
  readonly status: number
  readonly url: URL
  readonly text: string
  readonly headers: Headers
}

interface Visit {
  readonly form?: Record<string, string>
  readonly json?: unknown
  readonly method?: string
  readonly headers?: Record<string, string>
  /** as another site makes a browser post: without the cookies of this one */
  readonly crossSite?: boolean
  /** follow redirects; default yes */
  readonly follow?: boolean
}

/** Just enough of a browser: cookies by host, redirects, and the headers that no page can forge. */
export class Browser {
  /** by host, then by name */
  readonly cookies = new Map<string, Map<string, string>>()
  readonly #ip: string

  /** @param ip where it says that it is: each visitor has a share of attempts of their own */
  constructor(ip = `198.51.${Browser.#made >> 8}.${Browser.#made++ & 255}`) {
    this.#ip = ip
  }
  static #made = 1

  cookie(url: string, name: string): string | undefined {
    return this.cookies.get(new URL(url).host)?.get(name)
  }

  plant(url: string, name: string, value: string): void {
    const { host } = new URL(url)
    const jar = this.cookies.get(host) ?? new Map()
    this.cookies.set(host, jar.set(name, value))
  }

  async visit(at: string | URL, visit: Visit = {}): Promise<Page> {
    const { form, json, follow = true, crossSite = false } = visit
    let url = new URL(at)
    let method = visit.method ?? (form || json !== undefined ? 'POST' : 'GET')
    let body = form ? new URLSearchParams(form).toString() : json === undefined ? undefined : JSON.stringify(json)
    for (let hops = 0; hops < 12; hops++) {
      const jar = crossSite ? undefined : this.cookies.get(url.host)
      const response = await fetch(url, {
        method,
        redirect: 'manual',
        headers: {
          accept: json === undefined ? 'text/html,application/xhtml+xml' : 'application/json',
          'sec-fetch-site': crossSite ? 'cross-site' : 'same-origin',
          'x-forwarded-for': this.#ip,
          ...(body !== undefined && {
            'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json',
          }),
          ...(jar && jar.size > 0 && { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') }),
          ...visit.headers,
        },
        ...(body !== undefined && { body }),
      })
      this.#keep(url, response)
      const location = response.headers.get('location')
      if (!location || !follow)
        return { status: response.status, url, text: await response.text(), headers: response.headers }
      await response.arrayBuffer()
      url = new URL(location, url)
      method = 'GET'
      body = undefined
    }
    throw new Error(`too many redirects, the last to ${url}`)
  }

  #keep({ host }: URL, { headers }: Response): void {
    const jar = this.cookies.get(host) ?? new Map<string, string>()
    this.cookies.set(host, jar)
    for (const line of headers.getSetCookie()) {
      const { name, value, maxAge, expires } = parseSetCookie(line)
      const gone = maxAge === 0 || (expires !== undefined && expires.getTime() <= Date.now())
      if (gone || value === undefined) jar.delete(name)
      else jar.set(name, value)
    }
  }
}
