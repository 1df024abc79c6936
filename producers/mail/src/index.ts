export { type Letter, letter, type Paragraph } from './letter.ts'
export type { Mail, Mailer } from './mailer.ts'
export { createSmtpMailer } from './smtp.ts'
