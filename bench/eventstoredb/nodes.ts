import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { Failure } from '../../domain/errors.ts'
import { parseEventStoreDbAddress } from '../../infra/event-store-address.ts'

/** A node of EventStoreDB or KurrentDB on this machine: its address, the file with its process id, and the command for a
 *  shell that starts it and ends when it serves. */
export type ServerNode = { readonly url: string; readonly pidFile: string; readonly start: string }

const fileBytesMax = 64 * 1024
const nodesMax = 9
const textCharactersMax = 4_096

const text = z.string().trim().min(1).max(textCharactersMax)
const isOneNode = (url: string) => {
  const address = parseEventStoreDbAddress(url)
  return address !== undefined && !address.discover && address.hosts.length === 1
}
const isEachOnce = (of: 'url' | 'pidFile') => (nodes: readonly ServerNode[]) =>
  new Set(nodes.map((node) => node[of])).size === nodes.length

const nodesOfFile = z
  .array(z.object({ url: text.refine(isOneNode, 'is no address of one node'), pidFile: text, start: text }))
  .min(1)
  .max(nodesMax)
  .refine(isEachOnce('url'), 'two nodes have the same url')
  .refine(isEachOnce('pidFile'), 'two nodes have the same pidFile')

/** Reads a file of nodes: `[{"url": "esdb://127.0.0.1:2113?tls=false", "pidFile": "/srv/pid", "start": "/srv/start"}]`.
 *  More than one node are a cluster. Throws INPUT_INVALID with the place and the reason. */
export const readNodes = (file: string): readonly ServerNode[] => {
  const refuse = (why: string) =>
    new Failure('INPUT_INVALID', { eventstore: `${file} is no list of nodes with url, pidFile and start: ${why}` })
  let content: unknown
  try {
    const found = statSync(file)
    if (found.isDirectory()) throw new Error('it is a folder')
    if (found.size > fileBytesMax) throw new Error(`it has more than ${fileBytesMax} bytes`)
    content = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error))
  }
  const { data, error } = nodesOfFile.safeParse(content)
  if (data) return data
  throw refuse(error.issues.map(({ path, message }) => [...path, message].join(': ')).join('; '))
}
