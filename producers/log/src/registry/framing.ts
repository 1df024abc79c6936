/** Confluent's wire format: a zero byte, the schema id as a big-endian 32-bit integer, the payload. */
const magicByte = 0
const headerBytes = 5

export const frameHeader = (schemaId: number): Buffer => {
  const header = Buffer.alloc(headerBytes)
  header.writeUInt8(magicByte, 0)
  header.writeUInt32BE(schemaId, 1)
  return header
}

/** One allocation and one copy: the text is written behind the header. */
export const frame = (header: Buffer, json: string): Buffer => {
  const framed = Buffer.allocUnsafe(headerBytes + Buffer.byteLength(json))
  header.copy(framed)
  framed.write(json, headerBytes)
  return framed
}

/** undefined when the value is not framed */
export const schemaIdOf = (value: Buffer | null): number | undefined =>
  value === null || value.length <= headerBytes || value[0] !== magicByte ? undefined : value.readUInt32BE(1)

/** The JSON text of a framed value. */
export const jsonOf = (value: Buffer): string => value.toString('utf8', headerBytes)
