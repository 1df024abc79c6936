import { connect } from 'node:net'

/**
 * A Metadata request, version 1, for no topic (Kafka protocol guide, "Metadata API"). A whole client would do, but the
 * stack asks this one thing dozens of times while a broker starts.
 */
const request = (): Buffer => {
  const body = Buffer.alloc(18)
  body.writeInt32BE(14, 0) // size of what follows
  body.writeInt16BE(3, 4) // api key: Metadata
  body.writeInt16BE(1, 6) // api version
  body.writeInt32BE(1, 8) // correlation id
  body.writeInt16BE(-1, 12) // client id: null
  body.writeInt32BE(0, 14) // topics: none
  return body
}

/** Offset of the count of brokers in a reply: behind its size and the correlation id. */
const brokersAt = 8

/** How many brokers the broker on this port of 127.0.0.1 knows to be alive; rejects when it doesn't answer. */
export const brokerCount = (port: number, timeoutMs = 2000): Promise<number> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let received = Buffer.alloc(0)
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no answer in time')))
    socket.once('error', reject)
    socket.once('connect', () => socket.write(request()))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < brokersAt + 4) return
      resolve(received.readInt32BE(brokersAt))
      socket.destroy()
    })
    socket.once('close', () => reject(new Error('closed without an answer')))
  })
