import { OmiumError } from '@omium/schemas'

type Headers = Readonly<Record<string, string | string[] | undefined>>

/**
 * Protection against cross-site request forgery: whatever changes something for a cookie has to come from a page of this very
 * origin, as the browser itself says (`Sec-Fetch-Site`, else `Origin`; a page can forge neither). Chosen over a double-submit
 * token because there is no token that a sibling domain could plant or a page leak, forms work without script, and nothing has
 * to be kept. A browser that says neither is refused. Sibling domains (`same-site`) are strangers as well.
 *
 * @throws OmiumError `origin_refused`
 */
export const requireSameOrigin = (headers: Headers, publicOrigin: string): void => {
  const site = headers['sec-fetch-site']
  // a page that tells nobody where it is (`referrer-policy: no-referrer`) sends the origin `null`: then only the first counts
  const same = site === undefined ? headers['origin'] === publicOrigin : site === 'same-origin'
  if (!same)
    throw new OmiumError(
      'origin_refused',
      `only pages of ${publicOrigin} may ask for this, and the browser has to say so`,
    )
}

const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Whether a request of this method may change something. */
export const isUnsafe = (method: string): boolean => !safeMethods.has(method)
