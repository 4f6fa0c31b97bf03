import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { embeddedPostgresUrl, explainRefusal, startEmbeddedPostgres } from '../embedded-postgres.ts'
import { connectPostgres } from '../postgres.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-password-'))
  await chmod(folder, 0o755)
})
afterEach(() => rm(folder, { recursive: true }))

const start = () => startEmbeddedPostgres({ folder, log: silentLog, durable: false })

test('without its password, or with a damaged or another one, the database does not start anew: the file is named', async () => {
  const file = join(folder, 'keys', 'postgres')
  await (await start()).close()
  const refused = (why: string) => ({
    code: 'KEY_FILE_INVALID',
    details: { file, why: expect.stringContaining(why), fix: expect.stringContaining('backup') },
  })
  for (const content of ['', 'x']) {
    await writeFile(file, content)
    await expect(start()).rejects.toMatchObject(refused('characters'))
    await expect(embeddedPostgresUrl(folder)).rejects.toMatchObject(refused('characters'))
  }
  await rm(file)
  await expect(start()).rejects.toMatchObject(refused('missing'))
  expect(await readdir(join(folder, 'keys'))).toEqual([])

  await writeFile(file, 's'.repeat(43))
  const server = await start()
  const database = connectPostgres({ url: server.url, log: silentLog, poolSize: 1 })
  try {
    await expect(
      database.waitUntilReady(1_000).catch((error: unknown) => explainRefusal(folder, error)),
    ).rejects.toMatchObject(refused('refuses'))
  } finally {
    await database.close()
    await server.close()
  }
})
