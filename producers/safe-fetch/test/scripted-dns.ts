import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'

/** The addresses of a name, one list for each time that it is asked for; the last stays. `never`: no answer comes. */
type Script = readonly (readonly string[])[] | 'never'

/** A DNS server (RFC 1035) on loopback that says what a spec wants, with no time to live. */
export const scriptedDns = () => {
  const scripts = new Map<string, Script>()
  const asked = new Map<string, number>()
  const socket = createSocket('udp4')

  socket.on('message', (query, from) => {
    const { name, type, end } = question(query)
    const script = scripts.get(name)
    if (script === 'never') return
    // both families are asked for at once: a pair of questions is one time
    const round = asked.get(`${name}/${type}`) ?? 0
    asked.set(`${name}/${type}`, round + 1)
    const all = script?.[Math.min(round, script.length - 1)] ?? []
    const answers = all.filter((address) => isIPv6(address) === (type === aaaa)).map((address) => record(type, address))
    const header = Buffer.alloc(12)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(script ? 0x8180 : 0x8183, 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(answers.length, 6)
    socket.send(Buffer.concat([header, query.subarray(12, end), ...answers]), from.port, from.address)
  })

  return {
    listen: () => new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve)),
    close: () => new Promise<void>((resolve) => socket.close(() => resolve())),
    address: () => `127.0.0.1:${socket.address().port}`,
    answers: (name: string, script: Script) => void scripts.set(name, script),
    /** how often the name was asked for */
    asked: (name: string) => asked.get(`${name}/${a}`) ?? 0,
  }
}

const [a, aaaa] = [1, 28]

const question = (query: Buffer) => {
  const labels: string[] = []
  let at = 12
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

const record = (type: number, address: string): Buffer => {
  const bytes = isIPv6(address) ? bytesOfIpv6(address) : Buffer.from(address.split('.').map(Number))
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0) // the name of the question
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(bytes.length, 10)
  return Buffer.concat([head, bytes])
}

const bytesOfIpv6 = (address: string): Buffer => {
  const [before = '', after = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const words = (text: string) => text.split(':').filter(Boolean)
  const [front, back] = [words(before), words(after)]
  const all = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back]
  return Buffer.from(all.map((word) => word.padStart(4, '0')).join(''), 'hex')
}
