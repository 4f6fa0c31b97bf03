import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'

/** A file that is whole and on disk. */
export type WrittenFile = { readonly bytes: number; readonly sha256: string }

export type FileSink = {
  write(bytes: Uint8Array): Promise<void>
  /** Resolves when all of it is on disk, not only in the cache of the operating system. */
  finish(): Promise<WrittenFile>
  /** Closes the file unfinished. */
  abandon(): Promise<void>
}

/** Opens a file that is written once, from its beginning to its end. */
export const openSink = async (path: string): Promise<FileSink> => {
  const file: FileHandle = await open(path, 'w', 0o644)
  const hash = createHash('sha256')
  let bytes = 0
  return {
    write: async (part) => {
      hash.update(part)
      for (let from = 0; from < part.length; ) from += (await file.write(part, from)).bytesWritten
      bytes += part.length
    },
    finish: async () => {
      await file.sync()
      await file.close()
      return { bytes, sha256: hash.digest('hex') }
    },
    abandon: () => file.close(),
  }
}
