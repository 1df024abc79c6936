import { createTransport } from 'nodemailer'
import CircuitBreaker from 'opossum'
import { isLoopback } from '../loopback.ts'
import type { Mail, Mailer } from '../ports.ts'

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
  const breaker = new CircuitBreaker((mail: Mail) => transport.sendMail({ from, ...mail }), {
    timeout: 20_000,
    errorThresholdPercentage: 50,
    volumeThreshold: 5,
    resetTimeout: 10_000,
  })
  return {
    send: async (mail) => void (await breaker.fire(mail)),
    close: () => {
      breaker.shutdown()
      transport.close()
    },
  }
}
