import { letter, type Mail } from '@omium/mail'

/** The mail with a link that signs in. */
export const signInMail = (to: string, url: string): Mail =>
  letter({
    to,
    subject: 'Sign in to Omium',
    paragraphs: [
      'Open this link in the browser in which you asked for it. It works once, for ten minutes.',
      { label: 'Sign in to Omium', url },
      'If it was not you who asked, do nothing: without that browser the link opens nothing.',
    ],
  })
