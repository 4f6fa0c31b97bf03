// Writes rows as Parquet, or as one JSON object per line. A writer gets rows in groups, and has at most one of them in
// memory.
import { ByteWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer'
import { columns, type ExportColumn, type Value } from './columns.ts'
import { openSink, type WrittenFile } from './file.ts'

export const formats = ['parquet', 'jsonl'] as const
export type Format = (typeof formats)[number]

export type Rows = readonly (readonly Value[])[]

export type PartWriter = {
  /** Writes a group of rows; in Parquet, one row group. */
  write(rows: Rows): Promise<void>
  finish(): Promise<WrittenFile>
  abandon(): Promise<void>
}

/** Opens a file of an export. */
export const openPart = (format: Format, path: string): Promise<PartWriter> =>
  format === 'parquet' ? openParquet(path) : openLines(path)

const children: readonly SchemaElement[] = [
  { name: 'amount', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
  { name: 'asset', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
  { name: 'scale', type: 'INT32', repetition_type: 'REQUIRED' },
]

const elementsOf = ({ name, kind, required }: ExportColumn): SchemaElement[] => {
  const repetition_type = required ? 'REQUIRED' : 'OPTIONAL'
  switch (kind) {
    case 'text':
      return [{ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type }]
    case 'int32':
      return [{ name, type: 'INT32', repetition_type }]
    case 'int64':
      return [{ name, type: 'INT64', repetition_type }]
    case 'moment':
      return [
        {
          name,
          type: 'INT64',
          converted_type: 'TIMESTAMP_MICROS',
          logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
          repetition_type,
        },
      ]
    case 'money':
      return [{ name, repetition_type, num_children: children.length }, ...children]
  }
}

const schema: SchemaElement[] = [{ name: 'event', num_children: columns.length }, ...columns.flatMap(elementsOf)]

const openParquet = async (path: string): Promise<PartWriter> => {
  const sink = await openSink(path)
  const bytes = new ByteWriter()
  /** Runs after each row group and writes its bytes; only the offsets of the groups stay in memory, for the footer. */
  const flush = async () => {
    await sink.write(bytes.getBytes())
    bytes.index = 0
  }
  const parquet = new ParquetWriter({
    writer: Object.assign(bytes, { flush }),
    schema,
    createdBy: 'NeuralMesh export',
  })
  return {
    write: async (rows) => {
      const columnData = columns.map(({ name }, index) => ({ name, data: rows.map((row) => row[index] ?? null) }))
      await parquet.write({ columnData, rowGroupSize: rows.length })
    },
    finish: async () => {
      await parquet.finish()
      await flush()
      return sink.finish()
    },
    abandon: sink.abandon,
  }
}

/** Returns a row as JSON without its nulls. */
const lineOf = (row: readonly Value[]): string =>
  JSON.stringify(
    Object.fromEntries(
      columns.flatMap(({ name }, index) => {
        const value = row[index] ?? null
        if (value === null) return []
        // These bigints are revisions and seconds, small enough for numbers of JSON.
        return [[name, typeof value === 'bigint' ? Number(value) : value]]
      }),
    ),
  )

const openLines = async (path: string): Promise<PartWriter> => {
  const sink = await openSink(path)
  return {
    write: (rows) => sink.write(Buffer.from(rows.map((row) => `${lineOf(row)}\n`).join(''))),
    finish: sink.finish,
    abandon: sink.abandon,
  }
}
