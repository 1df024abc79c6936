import { createOutsideCalls } from '@omium/resilience'
import { isLoopback, OmiumError } from '@omium/schemas'
import { createTransport } from 'nodemailer'
import type { Mailer } from './mailer.ts'

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
  const host = domainOf(from)
  // a mail that was perhaps taken is not sent twice here
  const server = createOutsideCalls({ target: 'mail', timeoutMs: 20_000, resetMs: 10_000, isFinal: isRefusal })
  return {
    send: async ({ id, ...mail }) => {
      const message = { from, ...mail, ...(id !== undefined && { messageId: `<${id}@${host}>` }) }
      await server.call(() => transport.sendMail(message)).catch((error) => Promise.reject(withoutRecipient(error)))
    },
    close: () => {
      server.close()
      transport.close()
    },
  }
}

/** of an address, with or without a name */
const domainOf = (from: string): string => /@([A-Za-z0-9.-]+)>?\s*$/.exec(from)?.[1] ?? 'localhost'

/** The server is there, and does not want this recipient or this mail: not now and not later (RFC 5321, 4.2.1). */
const isRefusal = (error: unknown): boolean => {
  const { code, responseCode = 0 } = error as { code?: string; responseCode?: number }
  return responseCode >= 500 && (code === 'EENVELOPE' || code === 'EMESSAGE')
}

/** What failed, without the address that a server repeats in what it answers: errors are logged. */
const withoutRecipient = (error: unknown): OmiumError => {
  if (error instanceof OmiumError) return error
  const { code, command, responseCode } = error as { code?: string; command?: string; responseCode?: number }
  const told = [code, command, responseCode].filter((one) => one !== undefined).join(' ')
  return new OmiumError('unavailable', `the mail server did not take it${told && `: ${told}`}`, {
    retryable: !isRefusal(error),
  })
}
