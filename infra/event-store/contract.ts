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

/** Declares the test cases that every engine of the event store must pass; call it from the engine's own spec. Only
 *  a capability that the engine declares leaves a case out. */
export const eventStoreContract = (engine: Engine): void => {
  describe('event store contract', () => {
    const opened: EventStore[] = []
    const closeAtEnd = (one: EventStore) => {
      opened.push(one)
      return one
    }
    let first: EventStore | undefined
    beforeAll(async () => {
      first = closeAtEnd(await engine.open())
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
      openEmpty: async () => closeAtEnd(await engine.openEmpty()),
      reopen: async () => {
        if (!engine.reopen) throw new Error('A durable engine can be opened again.')
        return closeAtEnd(await engine.reopen())
      },
      tailedEvents: Number(process.env.EVENT_STORE_TAIL_EVENTS ?? engine.tailedEvents ?? tailedEventsDefault),
      ...(engine.openCuttable && { openCuttable: engine.openCuttable }),
      ...(engine.openFaulty && { openFaulty: engine.openFaulty }),
    }
    appendCases(world)
    retryCases(world)
    if (engine.capabilities.appendToMany) appendToManyCases(world)
    if (engine.capabilities.durable) restartCases(world)
    readCases(world)
    subscribeCases(world)
  })
}
