/** Makes a folder with many names of a few files, measures it, and prints what that meant for this program as a line of
 *  JSON: node testing/programs/disk.ts <folder> <names>. */
import { linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { measureDisk } from '../../infra/clusters/process.testing.ts'

export type DiskReport = {
  readonly use: Awaited<ReturnType<typeof measureDisk>>
  /** The longest time in which nothing else of the program ran. */
  readonly gapMs: number
  /** How much the memory of the program has grown at most. */
  readonly grownMib: number
}

const [, , folder = '', names = '0'] = process.argv
/** Linux takes at most about 65,000 names of a file. */
const namesOfFileMax = 30_000
mkdirSync(folder, { recursive: true })
for (let index = 0; index < Number(names); index += 1) {
  const file = join(folder, `file-${index - (index % namesOfFileMax)}`)
  if (index % namesOfFileMax === 0) writeFileSync(file, '')
  else linkSync(file, join(folder, `link-${index}`))
}

const residentMib = () => process.resourceUsage().maxRSS / 1024
const before = residentMib()
let [gapMs, lastMs] = [0, performance.now()]
const look = setInterval(() => {
  gapMs = Math.max(gapMs, performance.now() - lastMs)
  lastMs = performance.now()
}, 5)
const use = await measureDisk([folder], {})
await new Promise((resolve) => setTimeout(resolve, 20))
clearInterval(look)
process.stdout.write(JSON.stringify({ use, gapMs, grownMib: residentMib() - before } satisfies DiskReport))
