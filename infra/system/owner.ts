import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { errorCode } from './errors.ts'

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
const fileFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Gives a folder, and the folders and plain files in it, to a user. It opens each before it changes it and follows no
 *  link, so that another user who moves things about meanwhile gains nothing: links and pipes keep their owner. The
 *  folder itself is last, so that an interrupted change is seen and repeated. Throws for a file that has a second name,
 *  which may lie anywhere. */
export const giveTree = async (path: string, uid: number, gid: number): Promise<void> => {
  const folder = await open(path, folderFlags)
  try {
    // The way through the descriptor stays the same folder, wherever its name leads by now.
    const here = `/proc/self/fd/${folder.fd}`
    for (const entry of await readdir(here, { withFileTypes: true })) {
      if (entry.isDirectory()) await giveTree(`${here}/${entry.name}`, uid, gid).catch(unlessReplaced)
      else if (entry.isFile()) await giveFile(`${here}/${entry.name}`, uid, gid).catch(unlessReplaced)
    }
    await folder.chown(uid, gid)
  } finally {
    await folder.close()
  }
}

const giveFile = async (path: string, uid: number, gid: number): Promise<void> => {
  const file = await open(path, fileFlags)
  try {
    const found = await file.stat()
    if (!found.isFile()) return
    if (found.nlink > 1) throw new Error(`${path} has ${found.nlink} names`)
    await file.chown(uid, gid)
  } finally {
    await file.close()
  }
}

/** Returns for something that was removed, or replaced by a link, since it was listed; throws any other error. */
const unlessReplaced = (error: unknown): undefined => {
  if (['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO'].includes(String(errorCode(error)))) return undefined
  throw error
}
