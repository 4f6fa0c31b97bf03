import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { EventStoreDBClient } from '@eventstore/db-client'
import type { Shutdown } from '../../infra/shutdown.ts'
import { readNodes } from './nodes.ts'

/** A server of EventStoreDB or KurrentDB for the benches. */
export type EventStoreDb = { readonly url: string; readonly version: string }

/** Finds the server at `url`, or starts the first of the nodes in a file and ends it at the shutdown. Resolves to
 *  undefined when neither is given. */
export const findEventStoreDb = async (options: {
  readonly url: string | undefined
  readonly file: string | undefined
  readonly shutdown: Shutdown
}): Promise<EventStoreDb | undefined> => {
  const url = options.url ?? (options.file === undefined ? undefined : await start(options.file, options.shutdown))
  if (url === undefined) return undefined
  const client = EventStoreDBClient.connectionString(url)
  try {
    const { capabilities } = client as unknown as { capabilities: Promise<{ serverVersion: string }> }
    return { url, version: (await capabilities).serverVersion }
  } finally {
    await client.dispose()
  }
}

const start = async (file: string, shutdown: Shutdown): Promise<string> => {
  const [node] = readNodes(file)
  if (!node) throw new Error(`${file} names no node`)
  shutdown.add('bench EventStoreDB', async () => {
    process.kill(Number(readFileSync(node.pidFile, 'utf8')))
  })
  await promisify(execFile)('/bin/sh', ['-c', node.start])
  return node.url
}
