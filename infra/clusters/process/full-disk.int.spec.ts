import { execFile } from 'node:child_process'
import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { recorder, shellJob } from '../contract.ts'
import { folderOf, graceMs, makeRoot } from '../process.testing.ts'
import { processCluster } from '../process.ts'
import { passVerdict } from './folder.ts'

const run = promisify(execFile)
let root = ''
let isMounted = false
beforeEach(async () => {
  root = await makeRoot()
  isMounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=755', 'small', root]).then(
    () => true,
    () => false, // only root may
  )
})
afterEach(async () => {
  if (isMounted) await run('umount', ['-l', root])
  await rm(root, { recursive: true })
})

/** Fills the disk, and returns the file to remove. */
const fill = async () => {
  await run('sh', ['-c', 'cat /dev/zero > "$1"', 'sh', join(root, 'big')]).catch(() => undefined)
  return join(root, 'big')
}

test('the exit code of a job is stored on a full disk, and a job that cannot start waits until there is room', async () => {
  const cluster = processCluster({ root, graceMs, trust: 'own' })
  const [first, second] = [recorder(), recorder()]
  const early = shellJob('while [ ! -e "$HOME/go" ]; do sleep 0.02; done; exit 7')
  await cluster.launch(early, first)
  const [folder, room] = [folderOf(root, early), await stat(join(folderOf(root, early), 'exit.draft'))]
  await writeFile(join(folder, 'work', 'go.draft'), '')
  if (isMounted) {
    const big = await fill()
    const late = shellJob('exit 3')
    await expect(cluster.launch(late, second)).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' })
    await expect(passVerdict(folder, { ended: 'stopped' })).rejects.toMatchObject({ code: 'ENOSPC' })
    expect((await readdir(folder)).filter((name) => name.startsWith('verdict'))).toEqual([])
    await run('mv', [join(folder, 'work', 'go.draft'), join(folder, 'work', 'go')])
    expect(await first.end).toEqual({ ended: 'exited', exitCode: 7 })
    await rm(big)
    expect(await cluster.launch(late, second)).toBe('launched')
    expect(await second.end).toEqual({ ended: 'exited', exitCode: 3 })
  } else {
    await run('mv', [join(folder, 'work', 'go.draft'), join(folder, 'work', 'go')])
    expect(await first.end).toEqual({ ended: 'exited', exitCode: 7 })
  }
  expect((await stat(join(folder, 'exit'))).ino).toBe(room.ino)
  await cluster.close({ stopJobs: true })
})
