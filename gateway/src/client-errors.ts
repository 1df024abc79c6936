import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type ErrorCode, errorCatalogue } from '@omium/schemas'

/** What Node's parser refuses before there is a request, answered like everything else: a coded problem, then the end. */

const codeOf = (nodeCode: string | undefined): ErrorCode => {
  if (nodeCode === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request_timeout'
  if (nodeCode === 'HPE_HEADER_OVERFLOW') return 'headers_too_large'
  return 'malformed_request'
}

export const answerClientError = (error: Error & { code?: string }, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  // a response may be under way when the rest of its request does not come: nothing can be said in the middle of it
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const code = codeOf(error.code)
  const { status, title, retryable } = errorCatalogue[code]
  const body = JSON.stringify({ type: `urn:omium:error:${code}`, title, status, detail: title, code, retryable })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  // ended, not destroyed: who still sends would lose the answer
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroySoon())
  socket.resume()
}
