import { open, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeFolders, syncFolder } from '../../system/files.ts'

export type Journal = {
  /** The lines that were in it when it was opened, oldest first. */
  readonly lines: readonly string[]
  /** Appends a line, and resolves when it is on the disk. After a failure nothing of it is left, and the next call may
   *  succeed. The caller must await each call before the next one. */
  append(line: string): Promise<void>
  /** Returns how long it is now, in bytes. */
  bytes(): number
  close(): Promise<void>
}

/** Opens a file of lines that only grows, and reads it whole. Cuts off a last line without its end, which a crash has
 *  left in the middle of a write: it was never acknowledged. */
export const openJournal = async (path: string): Promise<Journal> => {
  await makeFolders(dirname(path))
  const file = await open(path, 'a+', 0o600)
  try {
    const content = await file.readFile()
    let length = content.lastIndexOf('\n') + 1
    if (length < content.length) await file.truncate(length)
    if (length === 0) await syncFolder(dirname(path))

    const append = async (line: string): Promise<void> => {
      const bytes = Buffer.from(`${line}\n`)
      try {
        await file.appendFile(bytes)
        await file.datasync()
      } catch (error) {
        await file.truncate(length)
        throw error
      }
      length += bytes.length
    }
    return {
      lines: length === 0 ? [] : content.toString('utf8', 0, length - 1).split('\n'),
      append,
      bytes: () => length,
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Replaces the file by one with these lines, whole or not at all. It must not be open. */
export const rewriteJournal = async (path: string, lines: readonly string[]): Promise<void> => {
  const draft = `${path}.draft`
  await writeFile(draft, lines.map((line) => `${line}\n`).join(''), { mode: 0o600, flush: true })
  await rename(draft, path)
  await syncFolder(dirname(path))
}
