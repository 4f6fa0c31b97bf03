/** Finds the control groups of this process in the texts of /proc/self/cgroup and /proc/self/mountinfo. Pure. */

/** The trees of groups that matter: that of version 2, and those of version 1 with one controller each. */
export const hierarchies = ['unified', 'memory', 'pids', 'freezer'] as const
export type Hierarchy = (typeof hierarchies)[number]

/** A folder of a tree: `path` undefined, and why, where it cannot be used. */
export type GroupPlace = { readonly path: string; readonly mount: string } | { readonly reason: string }

type Mount = {
  readonly root: string
  readonly at: string
  readonly type: string
  readonly readOnly: boolean
  readonly options: readonly string[]
}

/** Returns a path of these texts, in which Linux writes spaces and backslashes as \040 and \134. */
const decoded = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

const parseMounts = (text: string): Mount[] =>
  text.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ')
    const [, , , root, at, options = ''] = left.split(' ')
    const [type = '', , superOptions = ''] = right.split(' ')
    if (root === undefined || at === undefined || !type.startsWith('cgroup')) return []
    const [own, all] = [options.split(','), superOptions.split(',')]
    const readOnly = own.includes('ro') || all.includes('ro')
    return [{ root: decoded(root), at: decoded(at), type, readOnly, options: all }]
  })

/** Returns where cgroup file systems are mounted, by their tree. Of several mounts of one tree, those that may be written
 *  come first. */
export const findGroupMounts = (mountinfo: string, hierarchy: Hierarchy): readonly Mount[] =>
  parseMounts(mountinfo)
    .filter(({ type, options }) =>
      hierarchy === 'unified' ? type === 'cgroup2' : type === 'cgroup' && options.includes(hierarchy),
    )
    .toSorted((a, b) => Number(a.readOnly) - Number(b.readOnly))

const pathWithin = (root: string, path: string): string | undefined => {
  if (path.split('/').includes('..')) return undefined
  if (root === '/') return path === '/' ? '' : path
  if (path === root) return ''
  return path.startsWith(`${root}/`) ? path.slice(root.length) : undefined
}

/** Returns the folder of this process's own group in each tree. */
export const findGroupPlaces = (cgroup: string, mountinfo: string): Readonly<Record<Hierarchy, GroupPlace>> => {
  const paths = cgroup.split('\n').flatMap((line) => {
    const [, id, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? []
    if (path === undefined) return []
    return [{ names: id === '0' ? ['unified'] : (controllers ?? '').split(','), path }]
  })
  const placeOf = (hierarchy: Hierarchy): GroupPlace => {
    const path = paths.find(({ names }) => names.includes(hierarchy))?.path
    if (path === undefined) return { reason: 'Linux has none' }
    const [mount] = findGroupMounts(mountinfo, hierarchy)
    if (!mount) return { reason: 'it is not mounted' }
    if (mount.readOnly) return { reason: `${mount.at} is read-only` }
    const within = pathWithin(mount.root, path)
    return within === undefined
      ? { reason: `the own group ${path} is not below ${mount.at}` }
      : { path: mount.at + within, mount: mount.at }
  }
  return Object.fromEntries(hierarchies.map((one) => [one, placeOf(one)])) as Record<Hierarchy, GroupPlace>
}

/** Returns a number of a file with a name and a number in each line; 0 where it has none. */
export const numberIn = (text: string, name: string): number =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.slice(name.length + 1) ?? 0,
  )

/** Returns what the text of memory.stat counts that Linux cannot take back, in bytes: pages of processes, files in memory,
 *  tables of pages, and what waits in sockets. Other memory of the kernel is only in the limit of the group: most of it is
 *  names of files, which go when memory is short. */
export const keptBytes = (stat: string): number =>
  ['anon', 'rss', 'shmem', 'pagetables', 'sec_pagetables', 'sock'].reduce((sum, name) => sum + numberIn(stat, name), 0)
