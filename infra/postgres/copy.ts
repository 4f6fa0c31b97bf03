import pg, { type Connection, type PoolClient, type Submittable } from 'pg'

/** Ends with the length of an extension, which no server sends. */
const headerBytes = 19
const fieldsOfTrailer = -1

export type CopyConnection = Connection & { query(text: string): void }

/** What the driver calls while this statement runs. */
export type CopyStatement = Submittable & {
  handleError(error: Error): void
  handleReadyForQuery(): void
  handleCommandComplete(): void
  handleCopyInResponse(connection: CopyConnection): void
  handleCopyData(message: { readonly chunk: Buffer }): void
}

/** Runs a COPY statement; `parts` sends or receives the data. Throws the error of the database or of the connection. */
export const runCopy = (
  client: PoolClient,
  text: string,
  parts: Pick<CopyStatement, 'handleCopyInResponse' | 'handleCopyData'>,
): Promise<void> =>
  new Promise((resolve, reject) => {
    const statement: CopyStatement = {
      submit: (connection) => (connection as CopyConnection).query(text),
      // The driver's last call; it holds the next statement back until the connection is ready.
      handleError: reject,
      handleReadyForQuery: resolve,
      handleCommandComplete: () => undefined,
      ...parts,
    }
    client.query(statement)
  })

/** Reads the fields of a row in the binary format, in the order of its columns. */
export type Fields = {
  int8(): bigint
  uuid(): string
  text(): string
}

const uuidBytes = 16
const zeroUuid = '00000000-0000-0000-0000-000000000000'
/** Where the digits of each byte begin in the text of a UUID. */
const uuidPlaces = Array.from(
  { length: uuidBytes },
  (_, byte) => byte * 2 + [4, 6, 8, 10].filter((n) => byte >= n).length,
)
const hexDigits = Buffer.from('0123456789abcdef')

/** Reads the row that begins at `at`. It must be read at once: the driver overwrites its buffer afterwards. */
const createFields = (): Fields & { begin(chunk: Buffer, at: number): void } => {
  let bytes: Buffer = Buffer.alloc(0)
  // Faster for numbers of 64 bits than the methods of a Buffer, which put two halves together.
  let view = new DataView(bytes.buffer)
  let at = 0
  const uuidText = Buffer.from(zeroUuid)
  const next = (): number => {
    const begin = at + 4
    at = begin + bytes.readInt32BE(at)
    return begin
  }
  return {
    begin: (chunk, from) => {
      bytes = chunk
      at = from
      if (view.buffer !== chunk.buffer) view = new DataView(chunk.buffer)
    },
    int8: () => view.getBigInt64(bytes.byteOffset + next()),
    uuid: () => {
      const from = next()
      for (let byte = 0; byte < uuidBytes; byte += 1) {
        const value = bytes[from + byte] ?? 0
        const place = uuidPlaces[byte] ?? 0
        uuidText[place] = hexDigits[value >> 4] ?? 0
        uuidText[place + 1] = hexDigits[value & 15] ?? 0
      }
      return uuidText.toString('latin1')
    },
    text: () => bytes.toString('utf8', next(), at),
  }
}

/** Runs COPY (select) TO STDOUT (FORMAT binary) and resolves to its rows, each decoded as it arrives. No column may be
 *  null. */
export const copyOut = async <Row>(
  client: PoolClient,
  select: string,
  decode: (fields: Fields) => Row,
): Promise<Row[]> => {
  const rows: Row[] = []
  const fields = createFields()
  let defect: { readonly error: unknown } | undefined
  let begun = false
  await runCopy(client, `copy (${select}) to stdout (format binary)`, {
    handleCopyInResponse: () => undefined,
    // The server sends each row in its own message; the header comes with the first.
    handleCopyData: ({ chunk }) => {
      const at = begun ? 0 : headerBytes
      begun = true
      if (defect || chunk.readInt16BE(at) === fieldsOfTrailer) return
      fields.begin(chunk, at + 2)
      try {
        rows.push(decode(fields))
      } catch (error) {
        // Thrown here no caller would catch it: the driver calls this while it reads from the socket.
        defect = { error }
      }
    },
  })
  if (defect) throw defect.error
  return rows
}

/** Writes a value as a literal of SQL, for statements that take no bind variables. */
export const literalOf = (value: string | bigint | number | readonly string[]): string => {
  if (typeof value === 'object') return `array[${value.map(pg.escapeLiteral).join(',')}]`
  return typeof value === 'string' ? pg.escapeLiteral(value) : `'${value}'`
}
