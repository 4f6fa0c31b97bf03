/** A program that holds many objects, drops them, goes on as a busy process does, whose objects live for some turns, and
 *  prints how many bytes are resident then. With the argument "return" it gives memory back to the machine meanwhile. */
import { setImmediate as turn } from 'node:timers/promises'
import { returnMemory } from '../../infra/system/memory.ts'

const heldObjects = 4_000_000
const turns = 4_000
const objectsPerTurn = 5_000
/** Objects that live this long become old ones. Without any, V8 never collects the old ones that were dropped. */
const turnsOfLife = 20

const objects = (count: number) => Array.from({ length: count }, (_, index) => ({ index, name: `object ${index}` }))

if (process.argv[2] === 'return') returnMemory({ bytesMax: 200 * 1024 * 1024 })
const held = [objects(heldObjects)]
held.pop()
for (let count = 0; count < turns; count += 1) {
  held[count % turnsOfLife] = objects(objectsPerTurn)
  await turn()
}
process.stdout.write(`${process.memoryUsage.rss()}\n`)
