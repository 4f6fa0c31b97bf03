import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { PoolClient } from 'pg'
import { type CopyConnection, runCopy } from '../infra/postgres/copy.ts'

const signature = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const trailer = Buffer.from([0xff, 0xff])
const chunkBytes = 256 * 1024
/** PostgreSQL counts microseconds from the year 2000. */
const epochMs = Date.UTC(2000, 0, 1)

/** Writes rows as COPY … (format binary) takes them: the cheapest way into a table. */
export type RowWriter = {
  row(fields: number): void
  int8(value: bigint | number): void
  text(value: string): void
  jsonb(value: string): void
  uuid(value: string): void
  timestamp(ms: number): void
  /** Returns what was written since, when that is a whole chunk or `whole` is asked for. */
  take(whole?: boolean): Buffer | undefined
}

export const createRowWriter = (): RowWriter => {
  let buffer = Buffer.allocUnsafe(chunkBytes * 2)
  let at = 0
  const need = (bytes: number) => {
    if (at + bytes <= buffer.length) return
    const larger = Buffer.allocUnsafe((at + bytes) * 2)
    buffer.copy(larger, 0, 0, at)
    buffer = larger
  }
  const text = (value: string, version?: number) => {
    need(value.length * 3 + 5)
    const start = at
    at += 4
    if (version !== undefined) at = buffer.writeUInt8(version, at)
    at += buffer.write(value, at)
    buffer.writeInt32BE(at - start - 4, start)
  }
  const int8 = (value: bigint | number) => {
    need(12)
    at = buffer.writeBigInt64BE(BigInt(value), buffer.writeInt32BE(8, at))
  }
  return {
    row: (fields) => {
      need(2)
      at = buffer.writeInt16BE(fields, at)
    },
    int8,
    text,
    jsonb: (value) => text(value, 1),
    uuid: (value) => {
      need(20)
      at = buffer.writeInt32BE(16, at)
      at += buffer.write(value.replaceAll('-', ''), at, 'hex')
    },
    timestamp: (ms) => int8(BigInt(Math.round((ms - epochMs) * 1000))),
    take: (whole = false) => {
      if (!whole && at < chunkBytes) return undefined
      const taken = Buffer.from(buffer.subarray(0, at))
      at = 0
      return taken
    },
  }
}

type SendingConnection = CopyConnection & {
  readonly stream: Writable
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
  sendCopyFail(reason: string): void
}

/** Runs COPY … FROM STDIN (FORMAT binary) of these chunks of rows, in one statement. */
export const copyIn = (
  client: PoolClient,
  into: string,
  chunks: Iterable<Buffer> | AsyncIterable<Buffer>,
): Promise<void> =>
  runCopy(client, `copy ${into} from stdin (format binary)`, {
    handleCopyInResponse: (asked) => {
      const connection = asked as SendingConnection
      const send = async () => {
        connection.sendCopyFromChunk(signature)
        for await (const chunk of chunks) {
          connection.sendCopyFromChunk(chunk)
          if (connection.stream.writableNeedDrain) await once(connection.stream, 'drain')
        }
        connection.sendCopyFromChunk(trailer)
        connection.endCopyFrom()
      }
      send().catch((error: unknown) => connection.sendCopyFail(String(error)))
    },
    handleCopyData: () => undefined,
  })

/** Drains COPY (…) TO STDOUT (FORMAT binary). Resolves to the number of rows and bytes: the server sends each row in
 *  its own message. */
export const copyOut = async (client: PoolClient, select: string): Promise<{ rows: number; bytes: number }> => {
  let messages = 0
  let bytes = 0
  await runCopy(client, `copy (${select}) to stdout (format binary)`, {
    handleCopyInResponse: () => undefined,
    handleCopyData: ({ chunk }) => {
      messages += 1
      bytes += chunk.length
    },
  })
  // The signature travels with the first row; the trailer is a separate message.
  return { rows: messages - 1, bytes }
}
