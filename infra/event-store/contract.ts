import { afterAll, beforeAll, describe } from '@jest/globals'
import { appendCases } from './contract-append.ts'
import { readCases } from './contract-read.ts'
import { appendToManyCases, retryCases } from './contract-retry.ts'
import { subscribeCases } from './contract-subscribe.ts'
import type { EventStore } from './port.ts'

/** What every engine of the event store must do, as cases; run it from the engine's own spec. `open` gives a new, empty store
 *  each time; the suite closes it. A case is left out only by a capability that the engine declares, which is given here
 *  because the cases are listed before any store is open, and is compared with the store's own word. */
export const eventStoreContract = (open: () => Promise<EventStore>, capabilities: EventStore['capabilities']): void => {
  describe('event store contract', () => {
    const opened: EventStore[] = []
    const openOne = async () => {
      const store = await open()
      opened.push(store)
      return store
    }
    const store = (): EventStore => {
      const [first] = opened
      if (!first) throw new Error('The store opens before the first case.')
      return first
    }
    beforeAll(async () => {
      const { capabilities: declared } = await openOne()
      if (declared.appendToMany !== capabilities.appendToMany) throw new Error('The store declares other capabilities.')
    })
    afterAll(async () => {
      for (const one of opened) await one.close()
    })
    const world = { store, open: openOne }
    appendCases(world)
    retryCases(world)
    if (capabilities.appendToMany) appendToManyCases(world)
    readCases(world)
    subscribeCases(world)
  })
}
