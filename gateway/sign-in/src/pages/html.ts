import { createHash } from 'node:crypto'
import { webAuthnScript } from './webauthn-script.ts'

/** What all pages of sign-in are made in: plain HTML, one style, one policy of what they may load. */
const style = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:0;display:grid;min-height:100vh;place-items:center}
main{width:min(22rem,90vw);padding:1.5rem 0}
header{font-weight:600;letter-spacing:.04em;opacity:.75}
h1{font-size:1.4rem;margin:.3rem 0 1rem}
h2{font-size:1.05rem;margin:2rem 0 0}
ul{padding-left:1.2rem}
li{margin:.4rem 0}
a.button,button{display:block;box-sizing:border-box;width:100%;margin:.5rem 0;padding:.6rem 1rem;border:1px solid;border-radius:.4rem;font:inherit;text-align:center;text-decoration:none;color:inherit;background:none;cursor:pointer}
button:hover,a.button:hover{background:#8882}
label{display:block;margin-top:1rem}
input{box-sizing:border-box;width:100%;padding:.6rem;border:1px solid;border-radius:.4rem;font:inherit}
a.button:focus-visible,button:focus-visible,input:focus-visible{outline:3px solid #4c6ef5;outline-offset:2px}
code{overflow-wrap:anywhere}`

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Nothing but this style, the one script, and this site. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src ${hashOf(style)}`,
  `script-src ${hashOf(webAuthnScript)}`,
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character] ?? '')

/** A sentence, as it begins. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** @param head more for the head, already escaped */
export const page = (title: string, body: string, head = ''): string =>
  `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(title)} - Omium</title><style>${style}</style>${head}</head>
<body><main>
<header>Omium</header>
<h1>${escapeHtml(title)}</h1>
${body}
</main></body>
</html>
`
