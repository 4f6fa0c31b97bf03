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

/** Reads the row that begins at `at`. It must be read at once: the driver overwrites its buffer afterwards. */
const createFields = (): Fields & { begin(chunk: Buffer, at: number): void } => {
  let bytes: Buffer = Buffer.alloc(0)
  let at = 0
  const next = (): number => {
    const begin = at + 4
    at = begin + bytes.readInt32BE(at)
    return begin
  }
  return {
    begin: (chunk, from) => {
      bytes = chunk
      at = from
    },
    int8: () => bytes.readBigInt64BE(next()),
    uuid: () => {
      const digits = bytes.toString('hex', next(), at)
      return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`
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
