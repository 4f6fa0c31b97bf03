import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { goldenFolder } from './log.ts'

/** Names that are data, by the kind of thing that they name. */
export type Pinned = Readonly<Record<string, readonly string[]>>

const file = join(goldenFolder, 'names.json')

/** Reads what was pinned so far: nothing, before the first time. */
export const readPinned = (): Pinned => (existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Pinned) : {})

const without = (some: Pinned, others: Pinned): string[] =>
  Object.entries(some).flatMap(([kind, names]) =>
    names.filter((name) => !others[kind]?.includes(name)).map((name) => `${kind}: ${name}`),
  )

/** Returns the names that were pinned and are not there any more. */
export const lostNames = (pinned: Pinned, today: Pinned): string[] => without(pinned, today)

/** Returns the names that are there and were never pinned. */
export const newNames = (pinned: Pinned, today: Pinned): string[] => without(today, pinned)

/** Adds the new names to the pinned ones, which stay. */
export const pinNames = (today: Pinned): void => {
  const pinned: Record<string, readonly string[]> = { ...readPinned() }
  for (const [kind, names] of Object.entries(today))
    pinned[kind] = [...(pinned[kind] ?? []), ...names.filter((name) => !pinned[kind]?.includes(name))]
  writeFileSync(file, `${JSON.stringify(pinned, null, 2)}\n`)
}
