/**
 * Keeps secrets out of what is logged and told. Known ones (providers' keys, the caller's) are found wherever they stand;
 * others by how they look.
 */
const looksSecret = [
  /\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}/g,
  /\bom_[A-Za-z0-9_-]{16,}/g,
  /\bAIza[A-Za-z0-9_-]{30,}/g,
  /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g,
  /\bgh[pousr]_[A-Za-z0-9]{30,}/g,
  /\bxox[abprs]-[A-Za-z0-9-]{10,}/g,
  /\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\bbearer\s+[A-Za-z0-9._~+/=-]{12,}/gi,
  /\b(?:password|passwd|secret|api[_-]?key|access[_-]?token)["']?\s*[:=]\s*["']?[^\s"',}]{6,}/gi,
]

const mark = '[redacted]'
/** shorter ones would be found in ordinary text */
const shortestSecret = 6

export type Redact = (text: string) => string

/** @param secrets exact values, each masked wherever it stands */
export const createRedaction = (secrets: Iterable<string>): Redact => {
  const known = [...new Set(secrets)].filter((secret) => secret.length >= shortestSecret)
  known.sort((a, b) => b.length - a.length)
  return (text) => {
    let masked = text
    for (const secret of known) masked = masked.replaceAll(secret, mark)
    for (const pattern of looksSecret) masked = masked.replace(pattern, mark)
    return masked
  }
}
