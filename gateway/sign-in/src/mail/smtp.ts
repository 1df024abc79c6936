import { createOutsideCalls } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import { createTransport } from 'nodemailer'
import { isLoopback } from '../loopback.ts'
import type { Mailer } from '../ports.ts'

/**
 * Mail through an SMTP server (`smtp://user:password@host:port`, `smtps://`). Any server but one on this machine has to speak
 * TLS. One that keeps failing is left alone for a while; one that hangs is given up.
 */
export const createSmtpMailer = (url: string, from: string): Mailer => {
  const local = isLoopback(url)
  const transport = createTransport({
    url,
    requireTLS: !local,
    ignoreTLS: local,
    connectionTimeout: 5_000,
    greetingTimeout: 5_000,
    socketTimeout: 10_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  // a mail that was perhaps taken is not sent twice
  const server = createOutsideCalls({ target: 'mail', timeoutMs: 20_000, resetMs: 10_000 })
  return {
    send: async (mail) => {
      await server
        .call(() => transport.sendMail({ from, ...mail }))
        .catch((error) => Promise.reject(withoutRecipient(error)))
    },
    close: () => {
      server.close()
      transport.close()
    },
  }
}

/** What failed, without the address that a server repeats in what it answers: errors are logged. */
const withoutRecipient = (error: unknown): OmiumError => {
  if (error instanceof OmiumError) return error
  const { code, command, responseCode } = error as { code?: string; command?: string; responseCode?: number }
  const told = [code, command, responseCode].filter((one) => one !== undefined).join(' ')
  return new OmiumError('unavailable', `the mail server did not take it${told && `: ${told}`}`)
}
