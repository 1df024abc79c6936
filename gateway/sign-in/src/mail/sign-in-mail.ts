import type { Mail } from '../ports.ts'

const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')

/** The mail with a link that signs in. */
export const signInMail = (to: string, url: string): Mail => ({
  to,
  subject: 'Sign in to Omium',
  text: [
    'Open this link in the browser in which you asked for it. It works once, for ten minutes.',
    '',
    url,
    '',
    'If it was not you who asked, do nothing: without that browser the link opens nothing.',
    '',
  ].join('\n'),
  html: [
    '<!doctype html><html lang="en"><body style="font-family: sans-serif">',
    '<p>Open this link in the browser in which you asked for it. It works once, for ten minutes.</p>',
    `<p><a href="${escapeHtml(url)}">Sign in to Omium</a></p>`,
    '<p>If it was not you who asked, do nothing: without that browser the link opens nothing.</p>',
    '</body></html>',
  ].join('\n'),
})
