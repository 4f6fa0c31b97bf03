/** What is hidden from a job, and where its file tree would show it. */
import { lstatSync, realpathSync, statSync } from 'node:fs'

/** Paths in the file tree of a job that are covered: folders by an empty one, files by /dev/null. */
export type Covers = { readonly folders: readonly string[]; readonly files: readonly string[] }

const attempted = <Value>(read: () => Value): Value | undefined => {
  try {
    return read()
  } catch {
    return undefined // it is not there, or its folder is closed to this program and so to the job
  }
}

const isWithin = (path: string, folder: string): boolean => path.startsWith(`${folder}/`)

/** Returns each place below these folders where a job would see one of these paths, whatever links lead to either.
 *  @param shown folders of the machine that a job sees at the same path
 *  @param follows whether a shown path that is a link shows what lies behind it; else the job sees the link */
export const coversOf = (hidden: readonly string[], shown: readonly string[], follows: boolean): Covers => {
  const places = shown.flatMap((at) => {
    const real = attempted(() => realpathSync(at))
    const isLink = attempted(() => lstatSync(at))?.isSymbolicLink() === true
    return real === undefined || (isLink && !follows) ? [] : [{ at, real }]
  })
  const folders = new Set<string>()
  const files = new Set<string>()
  for (const path of hidden) {
    const target = attempted(() => realpathSync(path))
    const found = target === undefined ? undefined : attempted(() => statSync(target))
    if (target === undefined || found === undefined) continue
    for (const { at, real } of places)
      if (isWithin(target, real)) (found.isDirectory() ? folders : files).add(at + target.slice(real.length))
  }
  const isOpen = (place: string) => ![...folders].some((folder) => isWithin(place, folder))
  return { folders: [...folders].filter(isOpen), files: [...files].filter(isOpen) }
}
