import { expect, test } from '@jest/globals'
import type { Commands } from '../commands/execute.ts'
import { refuse } from '../domain/errors.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { timerHandlers } from './worker.ts'

/** Makes the timers of a rental of an hour, whose commands are beaten by others while `beaten.yes` is set. */
const timers = async () => {
  const world = await createActiveRental()
  const beaten = { yes: true }
  const execute: Commands['execute'] = async (...asked) =>
    beaten.yes ? refuse('CONFLICT_UNRESOLVED') : world.commands.execute(...asked)
  const scheduled: string[] = []
  const handlers = timerHandlers(
    {
      commands: { ...world.commands, execute },
      heartbeats: steadyHeartbeats(),
      now: world.now,
      config: { chargePeriodSeconds: 300 },
    },
    async (name) => {
      scheduled.push(name)
    },
    async () => undefined,
  )
  return { ...world, beaten, handlers, scheduled }
}

test('an end that other processes have beaten is not done: the timer fires again', async () => {
  const { handlers, rental, state, pass, beaten } = await timers()
  pass(3600)
  await expect(handlers.expire({ rental })).rejects.toMatchObject({ code: 'CONFLICT_UNRESOLVED' })
  beaten.yes = false
  await handlers.expire({ rental })
  expect(await state('rental', rental)).toMatchObject({ status: 'settled' })
  // It has ended: this is a "no" that nothing changes.
  await handlers.expire({ rental })
})

test('a period that other processes have beaten is not metered: the timer fires again, and only then the next', async () => {
  const { handlers, rental, state, pass, beaten, scheduled } = await timers()
  pass(300)
  await expect(handlers.meter({ rental, period: 1 })).rejects.toMatchObject({ code: 'CONFLICT_UNRESOLVED' })
  expect(scheduled).toEqual([])
  beaten.yes = false
  await handlers.meter({ rental, period: 1 })
  expect(await state('rental', rental)).toMatchObject({ runSeconds: 300n })
  expect(scheduled).toEqual(['meter'])
})
