import { createSocket } from 'node:dgram'
import type { AddressInfo } from 'node:net'

/** A DNS server on loopback that knows TXT records only, for specs. */
export interface DnsServer {
  /** `address:port` */
  readonly address: string
  /** texts by domain; what is not here does not exist */
  readonly records: Map<string, string[]>
  close(): Promise<void>
}

const headerBytes = 12
const typeTxt = 16

/** Where the question ends, and whose it is (RFC 1035, section 4.1.2). */
const readQuestion = (query: Buffer): { name: string; end: number; type: number } => {
  const labels: string[] = []
  let at = headerBytes
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.subarray(at + 1, at + 1 + length).toString())
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), end: at + 5, type: query.readUInt16BE(at + 1) }
}

const answerTo = (query: Buffer, records: ReadonlyMap<string, readonly string[]>): Buffer => {
  const { name, end, type } = readQuestion(query)
  const known = records.get(name)
  const texts = type === typeTxt ? (known ?? []) : []
  const header = Buffer.alloc(headerBytes)
  query.copy(header, 0, 0, 2)
  // an answer, with recursion; 3: there is no such name
  header.writeUInt16BE(known ? 0x8180 : 0x8183, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(texts.length, 6)
  const answers = texts.map((text) => {
    const bytes = Buffer.from(text)
    const head = Buffer.from([0xc0, headerBytes, 0, typeTxt, 0, 1, 0, 0, 0, 0, 0, bytes.length + 1, bytes.length])
    return Buffer.concat([head, bytes])
  })
  return Buffer.concat([header, query.subarray(headerBytes, end), ...answers])
}

export const startDnsServer = async (): Promise<DnsServer> => {
  const records = new Map<string, string[]>()
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => socket.send(answerTo(query, records), port, address))
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(socket.address() as AddressInfo).port}`,
    records,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}
