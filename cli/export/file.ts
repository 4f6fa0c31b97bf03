import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'

/** What is known of a file that is whole and on disk. */
export type WrittenFile = { readonly bytes: number; readonly sha256: string }

export type FileSink = {
  write(bytes: Uint8Array): Promise<void>
  /** Resolves when all of it is on disk, not only with the operating system. */
  finish(): Promise<WrittenFile>
  /** Lets go of the file as it is. */
  abandon(): Promise<void>
}

/** A file that is written from its beginning to its end, once. */
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

/** A name is only safe when its folder is on disk too. */
export const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
