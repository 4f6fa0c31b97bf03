import { importTool } from './tools.ts'

type DuckdbPackage = {
  readonly DuckDBInstance: {
    create(path: string): Promise<{
      connect(): Promise<{
        runAndReadAll(sql: string): Promise<{ getRowObjectsJson(): Record<string, unknown>[] }>
        closeSync(): void
      }>
      closeSync(): void
    }>
  }
}

/** Opens an analyst's DuckDB, in memory. Rows are as in JSON (large integers and decimals as text). */
export const openDuckdb = async () => {
  const { DuckDBInstance } = (await importTool('@duckdb/node-api')) as DuckdbPackage
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  return {
    ask: async <Row = Record<string, unknown>>(sql: string): Promise<Row[]> =>
      (await connection.runAndReadAll(sql)).getRowObjectsJson() as Row[],
    close: () => {
      connection.closeSync()
      instance.closeSync()
    },
  }
}
