import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { exists, unlessMissing } from './files.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-files-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('a file and a folder exist, what is missing does not, nor what lies below a file', async () => {
  const file = join(folder, 'file')
  await writeFile(file, 'text')
  await symlink(join(folder, 'nothing'), join(folder, 'link'))
  const paths = [folder, file, join(folder, 'nothing'), join(file, 'below'), join(folder, 'link')]
  expect(await Promise.all(paths.map(exists))).toEqual([true, true, false, false, false])
})

test('whether a path exists that cannot be looked up is an error', async () => {
  await expect(exists(join(folder, 'x'.repeat(300)))).rejects.toMatchObject({ code: 'ENAMETOOLONG' })
})

test('only what is missing is undefined', async () => {
  expect(await readFile(join(folder, 'nothing')).catch(unlessMissing)).toBeUndefined()
  await expect(readFile(folder).catch(unlessMissing)).rejects.toMatchObject({ code: 'EISDIR' })
})
