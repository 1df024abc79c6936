import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OmiumError } from '@omium/schemas'
import { SMTPServer } from 'smtp-server'

/** A mail that was caught. */
export interface CaughtMail {
  readonly to: string
  /** where it was written */
  readonly file: string
  /** the first link in it */
  readonly link: string | undefined
}

export interface MailCatcher {
  /** `smtp://127.0.0.1:<port>` */
  readonly url: string
  close(): Promise<void>
}

const mostBytes = 1024 * 1024

/** Undoes quoted-printable (RFC 2045, 6.7), as far as links need it. */
const decoded = (raw: string): string =>
  raw
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/**
 * The mail server of a local stack: takes every mail on loopback, writes it to a folder that only its owner reads, delivers
 * none. It lives in the process that runs the stack.
 * @throws OmiumError `unavailable` when the port is taken
 */
export const startMailCatcher = async (
  port: number,
  folder: string,
  onMail: (mail: CaughtMail) => void,
): Promise<MailCatcher> => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700)
  let caught = 0
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    size: mostBytes,
    disableReverseLookup: true,
    onData: (stream, session, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const raw = Buffer.concat(chunks).toString('utf8')
        const file = join(folder, `${new Date().toISOString().replaceAll(':', '-')}-${++caught}.eml`)
        writeFileSync(file, raw, { mode: 0o600 })
        const to = session.envelope.rcptTo.map(({ address }) => address).join(', ')
        onMail({ to, file, link: /https?:\/\/[^\s"<>]+/.exec(decoded(raw))?.[0] })
        done()
      })
    },
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new OmiumError('unavailable', `the mail catcher cannot listen on 127.0.0.1:${port}`, { cause })),
    )
    server.listen(port, '127.0.0.1', resolve)
  })
  // a client that breaks off is no reason to end the stack
  server.on('error', () => undefined)
  return { url: `smtp://127.0.0.1:${port}`, close: () => new Promise((resolve) => server.close(() => resolve())) }
}
