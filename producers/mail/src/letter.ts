import type { Mail } from './mailer.ts'

/** Text, or a link that stands alone. */
export type Paragraph = string | { readonly label: string; readonly url: string }

export interface Letter {
  readonly to: string
  readonly subject: string
  readonly paragraphs: readonly Paragraph[]
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (character) => escapes[character] ?? '')

const asText = (paragraph: Paragraph): string =>
  typeof paragraph === 'string' ? paragraph : `${paragraph.label}:\n${paragraph.url}`

const asHtml = (paragraph: Paragraph): string =>
  typeof paragraph === 'string'
    ? `<p>${escapeHtml(paragraph)}</p>`
    : `<p><a href="${escapeHtml(paragraph.url)}">${escapeHtml(paragraph.label)}</a></p>`

/** A mail that says the same as text and as HTML. */
export const letter = ({ to, subject, paragraphs }: Letter): Mail => ({
  to,
  subject,
  text: `${paragraphs.map(asText).join('\n\n')}\n`,
  html: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head><body style="font-family: sans-serif; line-height: 1.5; max-width: 36rem">
${paragraphs.map(asHtml).join('\n')}
</body></html>`,
})
