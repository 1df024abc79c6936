import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type ErrorCode, errorCatalogue } from '@omium/schemas'

/** What Node's parser refuses before there is a request, answered like everything else: a coded problem, then the end. */

/** how long whoever sends too much or too slowly has to read why it is refused, ms */
const lingerMs = 1_000

const codeOf = (nodeCode: string | undefined): ErrorCode => {
  if (nodeCode === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request_timeout'
  if (nodeCode === 'HPE_HEADER_OVERFLOW') return 'headers_too_large'
  return 'malformed_request'
}

/** How many were refused so far is counted by code. */
export const createClientErrors = () => {
  const counts = new Map<ErrorCode, number>()
  return {
    counts,
    answer: (error: Error & { code?: string }, socket: Socket): void => {
      const code = codeOf(error.code)
      if (answer(error, code, socket)) counts.set(code, (counts.get(code) ?? 0) + 1)
    },
  }
}

/** @returns whether there was anybody to answer */
const answer = (error: Error & { code?: string }, code: ErrorCode, socket: Socket): boolean => {
  if (error.code === 'ECONNRESET' || socket.destroyed) return false
  // a response may be under way when the rest of its request does not come: nothing can be said in the middle of it
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy()
    return true
  }
  const { status, title, retryable } = errorCatalogue[code]
  const body = JSON.stringify({ type: `urn:omium:error:${code}`, title, status, detail: title, code, retryable })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  // who still sends when the connection is reset loses the answer: what comes is thrown away until it has been read
  socket.resume()
  const linger = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(linger))
  return true
}
