/** A process of a chaos run that follows the log and writes down each event when it receives it. After a kill it goes
 *  on behind the last event that it wrote down. */
import { appendFileSync, closeSync } from 'node:fs'
import type { Position } from '../../infra/event-store/port.ts'
import { createRandom, pick } from '../random.ts'
import { runChild } from './child.ts'
import { tailLineOf } from './proof-order.ts'
import { receivedFile, reopenReceived } from './received.ts'

const poolSize = 2
const batchSizes = [7, 50, 500]

await runChild(poolSize, async ({ settings, signal, count, openStore }) => {
  const { name, folder, seed } = settings
  const { file, last } = reopenReceived(receivedFile(folder, name))
  const after = last?.split(' ')[0] as Position | undefined
  const store = await openStore()
  const batchSize = pick(createRandom(seed), batchSizes)
  for await (const { events } of store.subscribe({ ...(after && { after }), batchSize, signal })) {
    if (events.length === 0) continue
    appendFileSync(file, events.map((event) => `${tailLineOf(event)}\n`).join(''))
    count('seen', events.length)
  }
  await store.close()
  closeSync(file)
})
