import { createBoundedMap, registerBound } from '../infra/async/bounded.ts'
import { createFairTurns } from '../infra/async/fair-turns.ts'
import { createPlaces } from '../infra/async/places.ts'
import type { ReadModels } from '../projections/database.ts'
import type { CatchUp } from '../projections/engine/catch-up.ts'

/** How many statements of one address the database of the read models runs at the same time: half of those that this
 *  process sends it. */
export const statementsPerAddressMax = 2
/** How many subscriptions of one address read pages of the log at the same time while they catch up. */
export const pagesPerAddressMax = 2

const bound = registerBound({
  name: 'readers by address',
  holds: 'For each address of clients, what its statements to the read models wait in.',
  whenFull: 'evicts the least recently used',
  entriesMax: 10_000,
})

/** Makes the function that returns the read models as clients of one address read them: a few statements at the same
 *  time, whatever their operations ask for at once; the others wait, in their order. Those that wait under one address
 *  take nothing from another. */
export const shareReadModels = (read: ReadModels): ((address: string) => ReadModels) => {
  const inPlace = createPlaces(statementsPerAddressMax)
  // The same object for an address each time: rows that its requests ask for at the same time are one statement.
  const readers = createBoundedMap<ReadModels>(bound)
  return (address) => {
    const known = readers.get(address)
    if (known) return known
    // A place is kept by each try alone, and not while it is waited for the database or for a read model that is built.
    const reader: ReadModels = {
      ...read,
      run: (label, query) => read.run(label, (db) => inPlace(address, () => query(db))),
    }
    readers.set(address, reader)
    return reader
  }
}

/** Makes the function that returns how subscriptions of one address catch up: a few pages at the same time, each once it
 *  is the turn of the address. */
export const shareCatchingUp = (): ((address: string) => CatchUp) => {
  const inPlace = createPlaces(pagesPerAddressMax)
  const turn = createFairTurns()
  return (address) => (work) =>
    inPlace(address, async () => {
      await turn(address)
      return work()
    })
}
