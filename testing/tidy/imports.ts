// Who may import what. Each rule is a function from the sources to its complaints, one sentence each.
import { posix } from 'node:path'
import { type Files, isTest, type Source, targetOf } from './source-tree.ts'

/** Lower first; rooms in one row do not know each other. Of two names that fit, the longer is the room. */
const floors = [
  ['domain'],
  ['infra/async', 'infra/system'],
  ['contracts'],
  ['infra'],
  ['commands', 'projections'],
  ['scheduler/placement'],
  ['processes'],
  ['scheduler', 'gateway'],
  ['roles'],
  ['main.ts'],
  ['analysis/replay.ts'],
  ['cli/installation.ts'],
  ['cli', 'bench'],
  ['analysis'],
] as const
const rooms = floors.flatMap((names, floor) => names.map((name) => ({ name, floor })))
const roomOf = (path: string) =>
  rooms
    .filter(({ name }) => path === name || path.startsWith(`${name}/`))
    .toSorted((a, b) => b.name.length - a.name.length)[0]

/** Files that wire engines; the benches measure them one by one. */
const wiring: readonly string[] = ['main.ts', 'cli/installation.ts', 'bench']
/** Of infra/, those above know the ports, these names that are data, and the types of these. */
const sharedNames: readonly string[] = ['infra/locks.ts']
const sharedTypes = /^infra\/(postgres|telemetry|config|shutdown)\.ts$/

const whyNot = (from: string, to: string, typesOnly: boolean): string | undefined => {
  if (isTest(to)) return 'is for tests'
  const [above, below] = [roomOf(from), roomOf(to)]
  if (!above || !below) return 'has no floor'
  if (above.name !== below.name && below.floor >= above.floor) return 'is not below'
  if (below.name !== 'infra' || to.endsWith('/port.ts') || sharedNames.includes(to) || wiring.includes(above.name))
    return undefined
  // Within infra all may import the files in its root, and of another shelf only the port.
  if (above.name === 'infra' && (posix.dirname(to) === 'infra' || shelfOf(from) === shelfOf(to))) return undefined
  return typesOnly && sharedTypes.test(to) ? undefined : 'is an engine'
}

/** Returns the folder directly below infra/ that a file belongs to: `infra/bus` for `infra/bus/log.ts` and all below
 *  it. */
const shelfOf = (path: string): string => path.split('/').slice(0, 2).join('/').replace(/\.ts$/, '')

/** Returns a complaint for each import that does not go down, and for each file that stands on no floor. */
export const floorComplaints = (sources: readonly Source[]): string[] =>
  sources
    .filter(({ path }) => !isTest(path) && path !== 'jest.config.js')
    .flatMap(({ path, imports }) => [
      ...(roomOf(path) ? [] : [`${path} has no floor`]),
      ...imports.flatMap(({ specifier, typesOnly }) => {
        const to = targetOf(path, specifier)
        if (to === undefined)
          return path.startsWith('domain/') && specifier !== 'zod' ? [`${path} → ${specifier} is no domain`] : []
        if (path.endsWith('/port.ts') && !typesOnly) return [`${path} → ${to} is no type, and a port has nothing else`]
        const why = whyNot(path, to, typesOnly)
        return why ? [`${path} → ${to} ${why}`] : []
      }),
    ])

/** Returns a complaint for each import of a local file outside the repository: the next clone would miss it. */
export const missingComplaints = (files: Files, sources: readonly Source[]): string[] =>
  sources.flatMap(({ path, imports }) =>
    imports
      .map(({ specifier }) => targetOf(path, specifier))
      .filter((to) => to !== undefined && !files.has(to))
      .map((to) => `${path} → ${to} is not in the repository`),
  )

/** Returns the rooms around a file, the outermost first: `infra/postgres` for `infra/postgres.ts`, for its specs beside
 *  it and for all files below the folder. */
const roomsAround = (path: string, doors: ReadonlySet<string>): string[] => {
  const parts = path.split('/')
  const own = (parts.at(-1) ?? '').replace(/\..*$/, '')
  const folders = parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1).join('/'))
  return [...folders, posix.join(posix.dirname(path), own)].filter((folder) => doors.has(folder))
}

/** Returns a complaint for each import that enters a room beside its door. A folder `x/` with a file `x.ts` beside it
 *  is a room, and outside only `x.ts` is known, in tests also `x.testing.ts`. The benches measure parts one by one, so
 *  they may look in. */
export const doorComplaints = (files: Files, sources: readonly Source[]): string[] => {
  const folders = new Set(
    [...files.keys()].flatMap((path) =>
      path
        .split('/')
        .slice(0, -1)
        .map((_, index, parts) => parts.slice(0, index + 1).join('/')),
    ),
  )
  const doors = new Set([...folders].filter((folder) => files.has(`${folder}.ts`)))
  return sources
    .filter(({ path }) => !path.startsWith('bench/'))
    .flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier }) => {
        const to = targetOf(path, specifier)
        if (to === undefined) return []
        const inside = roomsAround(path, doors)
        const entered = roomsAround(to, doors).find((room) => !inside.includes(room))
        if (entered === undefined || to === `${entered}.ts` || (isTest(path) && to === `${entered}.testing.ts`))
          return []
        return [`${path} → ${to} enters ${entered}/ beside its door ${entered}.ts`]
      }),
    )
}

/** Returns a complaint for each file called `index`, which names nothing, and for each folder that has a door
 *  inside. */
export const nameComplaints = (files: Files): string[] =>
  [...files.keys()].flatMap((path) => {
    const name = posix.basename(path)
    if (/^index\.(ts|mjs|js)$/.test(name)) return [`${path}: name what is in it`]
    if (name === `${posix.basename(posix.dirname(path))}.ts` && path.includes('/'))
      return [`${path} has the name of its folder: a door stands beside the folder`]
    return /(^|\/)(spec[-.][^/]*|[^/]*-harness|[^/]*-spec)\.ts$/.test(path) && !path.endsWith('.spec.ts')
      ? [`${path}: what only tests use is called x.testing.ts`]
      : []
  })

/** Returns a complaint for each circle of files that import each other, types included: the files in their order. */
export const circleComplaints = (sources: readonly Source[]): string[] => {
  const targets = new Map(
    sources.map(({ path, imports }) => [path, imports.flatMap(({ specifier }) => targetOf(path, specifier) ?? [])]),
  )
  const state = new Map<string, 'open' | 'done'>()
  const found: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return
    if (state.get(path) === 'open') {
      found.push(`circle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`)
      return
    }
    state.set(path, 'open')
    for (const to of targets.get(path) ?? []) visit(to, [...trail, path])
    state.set(path, 'done')
  }
  for (const path of targets.keys()) visit(path, [])
  return found
}
