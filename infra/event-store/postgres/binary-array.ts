/** Arrays in the binary format of PostgreSQL. In the text format every quote in every JSON document would have to be
 *  escaped here and unescaped there; the driver sends a Buffer unchanged. */

/** Object ids of the element types, fixed by PostgreSQL. */
const oids = { int4: 23, int8: 20, text: 25, json: 114, uuid: 2950 } as const
const headerBytes = 20

const withHeader = (type: keyof typeof oids, length: number, bodyBytes: number): Buffer => {
  const buffer = Buffer.allocUnsafe(headerBytes + bodyBytes)
  buffer.writeInt32BE(1, 0) // dimensions
  buffer.writeInt32BE(0, 4) // no nulls
  buffer.writeInt32BE(oids[type], 8)
  buffer.writeInt32BE(length, 12)
  buffer.writeInt32BE(1, 16) // the first index
  return buffer
}

const texts = (type: 'text' | 'json', values: readonly string[]): Buffer => {
  const lengths = values.map((value) => Buffer.byteLength(value))
  const buffer = withHeader(
    type,
    values.length,
    lengths.reduce((sum, length) => sum + length + 4, 0),
  )
  let offset = headerBytes
  for (const [index, value] of values.entries()) {
    offset = buffer.writeInt32BE(lengths[index] ?? 0, offset)
    offset += buffer.write(value, offset)
  }
  return buffer
}

/** Encodes a text[]. */
export const textArray = (values: readonly string[]): Buffer => texts('text', values)

/** Encodes a json[] of JSON texts. */
export const jsonArray = (values: readonly string[]): Buffer => texts('json', values)

/** Encodes an int[]. */
export const intArray = (values: readonly number[]): Buffer => {
  const buffer = withHeader('int4', values.length, values.length * 8)
  let offset = headerBytes
  for (const value of values) offset = buffer.writeInt32BE(value, buffer.writeInt32BE(4, offset))
  return buffer
}

/** Encodes a bigint[]. */
export const bigintArray = (values: readonly bigint[]): Buffer => {
  const buffer = withHeader('int8', values.length, values.length * 12)
  let offset = headerBytes
  for (const value of values) offset = buffer.writeBigInt64BE(value, buffer.writeInt32BE(8, offset))
  return buffer
}

/** Encodes a uuid[]. */
export const uuidArray = (values: readonly string[]): Buffer => {
  const buffer = withHeader('uuid', values.length, values.length * 20)
  let offset = headerBytes
  for (const value of values) {
    offset = buffer.writeInt32BE(16, offset)
    offset += buffer.write(value.replaceAll('-', ''), offset, 'hex')
  }
  return buffer
}
