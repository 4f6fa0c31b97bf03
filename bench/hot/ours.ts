import { systemActor } from '../../commands/actor.ts'
import { createCommands, requestEnvelope } from '../../commands/execute.ts'
import { newId } from '../../commands/ids.ts'
import { withStore } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'

type Parameters = { readonly rental: string; readonly commands: number }

const time = '2026-06-01T00:00:00.000Z'
const chargePeriodSeconds = 300n

/** Commands on one stream, one after the other, in a process that has just started. The first command is measured apart
 *  from those that follow. */
export const contestant = ({ url, parameters }: Task<Parameters>): Promise<Outcome> =>
  withStore(url, async (store) => {
    const { rental, commands } = parameters
    // Looked at by another instance, so that nothing is in memory when the clock starts.
    const { state } = await createCommands({ store }).load('rental', rental)
    if (state.status !== 'active') throw new Error(`the rental ${rental} is ${state.status}`)
    let { runSeconds } = state
    const { execute } = createCommands({ store })
    const meter = async () => {
      runSeconds += chargePeriodSeconds
      const envelope = requestEnvelope(newId(), systemActor('meter'), time)
      const answer = await execute('rental', rental, { type: 'MeterRental', runSeconds, meteredAt: time }, envelope)
      if (!('outcome' in answer) || answer.events.length !== 1) throw new Error(`${rental} was not metered`)
    }
    const began = performance.now()
    await meter()
    const first = performance.now()
    for (let n = 0; n < commands; n += 1) await meter()
    return { firstMs: first - began, commandsPerSecond: (commands * 1000) / (performance.now() - first) }
  })
