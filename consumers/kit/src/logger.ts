import pino, { type DestinationStream, type Logger } from 'pino'

export type { Logger }

/** Names under which a secret could reach a log line; their values never do. */
const secretNames = ['token', 'secret', 'password', 'apiKey', 'authorization', 'secretAccessKey', 'connectionString']

/** JSON lines, on standard output unless told otherwise. Fields come first, then the message: `logger.info({ partition }, 'owned')`. */
export const createLogger = (name: string, level: string, destination?: DestinationStream): Logger =>
  pino(
    {
      name,
      level,
      base: { name, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: secretNames.flatMap((secret) => [secret, `*.${secret}`, `*.*.${secret}`]),
        censor: '[redacted]',
      },
    },
    destination ?? pino.destination(1),
  )
