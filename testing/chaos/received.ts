import { closeSync, createReadStream, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const lineBytesMax = 4_096

/** Returns the file of what a tail has received, a line for each event. */
export const receivedFile = (folder: string, tail: string): string => join(folder, `${tail}.seen`)

/** Returns the last whole line, and the number of bytes of a half line after it. */
const endOf = (file: number): { readonly line: string | undefined; readonly torn: number } => {
  const { size } = fstatSync(file)
  const buffer = Buffer.alloc(Math.min(size, lineBytesMax))
  readSync(file, buffer, 0, buffer.length, size - buffer.length)
  const end = buffer.lastIndexOf('\n') + 1
  const line = buffer.subarray(0, end).toString().trimEnd().split('\n').at(-1)
  return { line: line || undefined, torn: buffer.length - end }
}

/** Opens the file to continue it. Removes the half line that a tail may have left when it was killed. */
export const reopenReceived = (path: string): { readonly file: number; readonly last: string | undefined } => {
  const file = openSync(path, 'a+')
  const { line, torn } = endOf(file)
  ftruncateSync(file, fstatSync(file).size - torn)
  return { file, last: line }
}

/** Returns the last whole line; undefined before the first. */
export const lastReceived = (path: string): string | undefined => {
  const file = openSync(path, 'a+')
  try {
    return endOf(file).line
  } finally {
    closeSync(file)
  }
}

export const readReceived = (path: string): AsyncIterator<string> =>
  createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]()
