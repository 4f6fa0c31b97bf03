import { afterAll, beforeAll, describe, expect } from '@jest/globals'
import { appendCases } from './contract/append.ts'
import { readCases } from './contract/read.ts'
import { restartCases } from './contract/restart.ts'
import { appendToManyCases, retryCases } from './contract/retry.ts'
import { subscribeCases } from './contract/subscribe.ts'
import type { Engine, World } from './contract/world.ts'
import type { EventStore } from './port.ts'

export { modelTest } from './contract/model.ts'
export { appendUntilAnswered } from './contract/restart.ts'
export {
  codeThrownBy,
  collect,
  type Engine,
  eventsUntil,
  idsOf,
  newEvent,
  newEvents,
  newStream,
  to,
} from './contract/world.ts'

const tailedEventsDefault = 20_000

/** What every engine of the event store must do, as cases; run it from the engine's own spec. A case is left out only by a
 *  capability that the engine declares. */
export const eventStoreContract = (engine: Engine): void => {
  describe('event store contract', () => {
    const opened: EventStore[] = []
    const keep = (one: EventStore) => {
      opened.push(one)
      return one
    }
    let first: EventStore | undefined
    beforeAll(async () => {
      first = keep(await engine.open())
      expect(first.capabilities).toEqual(engine.capabilities)
    })
    afterAll(async () => {
      for (const one of opened) await one.close()
    })
    const world: World = {
      capabilities: engine.capabilities,
      store: () => {
        if (!first) throw new Error('The store opens before the first case.')
        return first
      },
      openEmpty: async () => keep(await engine.openEmpty()),
      reopen: async () => {
        if (!engine.reopen) throw new Error('A durable engine can be opened again.')
        return keep(await engine.reopen())
      },
      tailedEvents: Number(process.env.EVENT_STORE_TAIL_EVENTS ?? engine.tailedEvents ?? tailedEventsDefault),
      ...(engine.openCuttable && { openCuttable: engine.openCuttable }),
    }
    appendCases(world)
    retryCases(world)
    if (engine.capabilities.appendToMany) appendToManyCases(world)
    if (engine.capabilities.durable) restartCases(world)
    readCases(world)
    subscribeCases(world)
  })
}
