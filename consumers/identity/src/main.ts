import { createDomainProof } from '@omium/domain-proof'
import { type Lifecycle, runCapability, systemClock } from '@omium/kit'
import { createSmtpMailer } from '@omium/mail'
import { createOpener, createSubjectKeys, kmsOf, type SubjectKeys } from '@omium/personal-data'
import { identityContext } from '@omium/schemas'
import pg from 'pg'
import { readConfig } from './config.ts'
import { Identity } from './identity.ts'
import { identityMachine } from './machine.ts'
import { createIdentityMetrics } from './metrics.ts'
import { createSecurityMails } from './security-mails.ts'

/** The composition root of an identity process. */

const settings = readConfig()
const metrics = createIdentityMetrics()

/** Without a mail server nobody needs the keys of personal data here. */
const openSecurityMails = (keys: SubjectKeys, life: Pick<Lifecycle, 'onClose'>) => {
  const { OMIUM_SMTP_URL: smtpUrl, OMIUM_MAIL_FROM: from, OMIUM_URL: publicUrl } = settings
  if (smtpUrl === undefined) return createSecurityMails({ mailer: undefined, open: async () => undefined, publicUrl })
  const kms = kmsOf(settings)
  const mailer = createSmtpMailer(smtpUrl, from)
  life.onClose('key management', () => kms.close())
  life.onClose('mail', () => mailer.close())
  return createSecurityMails({ mailer, open: createOpener({ kms, keys, nowMs: systemClock.nowMs }), publicUrl })
}

await runCapability({
  name: 'identity',
  context: identityContext,
  settings,
  listen: { host: '127.0.0.1', port: settings.OMIUM_IDENTITY_PORT },
  metrics: metrics.registry,
  async build({ logger, life, repeat }) {
    const pool = new pg.Pool({
      connectionString: settings.OMIUM_DATABASE_URL,
      max: 2,
      application_name: 'omium-identity',
    })
    pool.on('error', (err) => logger.warn({ err }, 'an idle database connection broke'))
    life.onClose('database', () => pool.end())
    const keys = createSubjectKeys(pool)
    const identity = new Identity({
      tell: openSecurityMails(keys, life),
      clock: systemClock,
      notices: logger,
      erase: (subject) => keys.destroy(subject),
    })
    const domains = createDomainProof({ servers: settings.OMIUM_DNS_SERVERS, timeoutMs: 5_000 })
    life.onClose('domains', async () => domains.close())
    repeat('checking domains', settings.OMIUM_DOMAIN_CHECK_MS, () =>
      identity.recheckDomains(domains.texts, settings.OMIUM_DOMAIN_GRACE_MS),
    )
    return { machine: identityMachine, handler: identity, joined: () => metrics.observe(identity) }
  },
})
