import { ensureChromium } from '@omium/dev/testing'
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core'

/** Options of a virtual authenticator, see the WebAuthn domain of the Chrome DevTools Protocol. */
export const passkeyDevice = {
  protocol: 'ctap2',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
} as const
/** a plain key to plug in: knows nobody, asks for no PIN */
export const securityKeyDevice = {
  ...passkeyDevice,
  transport: 'usb',
  hasResidentKey: false,
  hasUserVerification: false,
  isUserVerified: false,
} as const

type Device = typeof passkeyDevice | typeof securityKeyDevice

/** A person with a real browser and an authenticator that answers by itself. */
export interface Person {
  readonly page: Page
  readonly context: BrowserContext
  readonly cdp: CDPSession
  readonly authenticatorId: string
}

export const startChromium = async (): Promise<Browser> =>
  chromium.launch({
    executablePath: await ensureChromium({ progress: () => undefined }),
    // rooms where specs run have no user namespaces
    args: ['--no-sandbox', '--disable-gpu'],
  })

export const personIn = async (browser: Browser, device: Device = passkeyDevice): Promise<Person> => {
  const context = await browser.newContext()
  const page = await context.newPage()
  const cdp = await context.newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: device })
  return { page, context, cdp, authenticatorId }
}
