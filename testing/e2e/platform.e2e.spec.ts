import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { createClient } from '../../cli/client.ts'
import { root } from '../../docs/docs.testing.ts'
import { runNode } from '../children.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { createTestFolder, embeddedDatabaseUrl, startTestPlatform, stopTestPlatforms } from '../worlds/platform.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
beforeAll(async () => {
  folder = await createTestFolder()
})
afterEach(stopTestPlatforms)
afterAll(() => folder.remove())

/** Resolves to the error of a platform that is expected not to start. */
const failsToStart = async (settings: Record<string, string>): Promise<string> => {
  try {
    const platform = await startTestPlatform(folder.path, settings)
    await platform.stop()
    return 'it came up'
  } catch (error) {
    return String(error)
  }
}

const head = async (url: string) => {
  const client = createClient(url)
  const answer = await client.query<{ head: string; chain: { rpcUrl: string; marketplace: string } }>(
    '{ head chain { rpcUrl marketplace } }',
  )
  await client.close()
  return answer
}

/** Resolves to the hash of a block, by number; of the newest when none is given. */
const block = async (rpcUrl: string, number = 'latest'): Promise<{ number: string; hash: string }> => {
  const response = await fetch(rpcUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_getBlockByNumber', params: [number, false] }),
  })
  const { result } = (await response.json()) as { result: { number: string; hash: string } }
  return { number: result.number, hash: result.hash }
}

describe('a platform on one data folder', () => {
  test('stops on SIGINT with exit code 0, leaves no process, and finds everything again', async () => {
    const first = await startTestPlatform(folder.path)
    const before = await head(first.url)
    const blockBefore = await block(before.chain.rpcUrl)
    expect((await processesNaming(folder.path)).length).toBeGreaterThan(1)
    const closed = once(first.process, 'close')
    first.process.kill('SIGINT')
    expect(await closed).toEqual([0, null])
    expect(await processesNaming(folder.path)).toEqual([])

    const second = await startTestPlatform(folder.path)
    const after = await head(second.url)
    expect(after.head).toBe(before.head)
    expect(after.chain.marketplace).toBe(before.chain.marketplace)
    expect(await block(after.chain.rpcUrl, blockBefore.number)).toEqual(blockBefore)
    expect(await second.stop()).toBe(0)
  })

  test('has no entry that the page does not name', async () => {
    const page = await readFile(join(root, 'docs/operating.md'), 'utf8')
    const table = /\| in `DATA_DIR` .*\n(?:\|.*\n)+/.exec(page)?.[0] ?? ''
    const named = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(
      ([, cell = '']) => cell.match(/(?<=`)[\w./-]+(?=`)/g) ?? [],
    )
    const withRowsOfTheirOwn = ['keys', 'chain']
    const entries = (await readdir(folder.path)).filter((name) => !withRowsOfTheirOwn.includes(name))
    for (const name of withRowsOfTheirOwn)
      entries.push(...(await readdir(join(folder.path, name))).map((entry) => `${name}/${entry}`))
    expect(entries).toContain('keys/jwt')
    // These two come with the first event and the first export.
    expect(named).toEqual(expect.arrayContaining(['latest-event.json', 'keys/export']))
    expect(entries.filter((entry) => !named.includes(entry) && !named.includes(`${entry}/`))).toEqual([])
  })

  test('logs step by step what it starts', async () => {
    const platform = await startTestPlatform(folder.path)
    await platform.stop()
    const ready = platform
      .output()
      .split('\n')
      .filter((line) => line.includes('"ready"'))
      .map((line) => JSON.parse(line).part)
    expect(ready).toEqual([
      'data folder',
      'embedded PostgreSQL',
      'database',
      'event store',
      'read models',
      'chain',
      'turns',
      'cluster',
      'timers',
      'gateway',
    ])
  })

  test('refuses a second platform, and names the first', async () => {
    const first = await startTestPlatform(folder.path)
    const message = await failsToStart({})
    expect(message).toContain('DATA_FOLDER_IN_USE')
    expect(message).toContain(String(first.process.pid))
    expect((await fetch(`${first.url}/ready`)).status).toBe(200)
    await first.stop()
  })

  test('refuses a port that is taken, names it and the variable, and leaves no process', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const message = await failsToStart({ PORT: String(port) })
    expect(message).toContain('PORT_TAKEN')
    expect(message).toContain(String(port))
    expect(await processesNaming(folder.path)).toEqual([])
    other.close()
  })

  test('refuses a setting that is wrong by its name', async () => {
    expect(await failsToStart({ CHARGE_PERIOD_SECONDS: 'often' })).toMatch(/CONFIG_INVALID[\s\S]*CHARGE_PERIOD_SECONDS/)
  })

  test('refuses a host that is not of this machine by its setting, before a database starts', async () => {
    const message = await failsToStart({ HOST: '999.1.1.1' })
    expect(message).toMatch(/CONFIG_INVALID[\s\S]*variable: HOST, value: 999\.1\.1\.1/)
    expect(message).not.toMatch(/embedded PostgreSQL| {4}at /)
  })

  test('refuses the folder of another version, by both versions, and changes nothing in it', async () => {
    const path = join(folder.path, 'neuralmesh.json')
    const ours = await readFile(path, 'utf8')
    await writeFile(path, JSON.stringify({ format: 999 }))
    expect(await failsToStart({})).toMatch(/DATA_FOLDER_VERSION[\s\S]*999/)
    await writeFile(path, ours)
    const postgres = join(folder.path, 'postgres', 'PG_VERSION')
    const version = await readFile(postgres, 'utf8')
    await writeFile(postgres, '15\n')
    expect(await failsToStart({})).toMatch(/DATA_FOLDER_VERSION[\s\S]*15/)
    await writeFile(postgres, version)
    const platform = await startTestPlatform(folder.path)
    expect(await platform.stop()).toBe(0)
  })

  test('answers with a code while its database is away, and goes on when it is back', async () => {
    const platform = await startTestPlatform(folder.path)
    const { head: before } = await head(platform.url)
    const [server] = (await processesNaming(join(folder.path, 'postgres'))).filter(
      ({ command }) => /bin\/postgres -D/.test(command) && !/^(\/bin\/)?sh /.test(command),
    )
    if (!server) throw new Error('no PostgreSQL runs')
    process.kill(server.pid, 'SIGKILL')
    const codes = new Set<string>()
    await eventually('the platform answers again', async () => {
      try {
        return (await head(platform.url)).head === before
      } catch (error) {
        codes.add((error as { code?: string }).code ?? String(error))
        return false
      }
    })
    for (const code of codes) expect(code).toBe('DATABASE_UNAVAILABLE')
    await eventually('it is ready', async () => (await fetch(`${platform.url}/ready`)).status === 200)
    expect(platform.process.exitCode).toBeNull()
    expect(await platform.stop()).toBe(0)
  })

  test('leaves no PostgreSQL behind when it is killed with -9', async () => {
    const platform = await startTestPlatform(folder.path)
    expect(await embeddedDatabaseUrl(folder.path)).toContain('127.0.0.1')
    await platform.kill()
    await eventually('no process is left', async () => (await processesNaming(folder.path)).length === 0)
  })
})

const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}
const programs = Object.entries(scripts).flatMap(([name, command]) => {
  const file = /\bnode (?:--\S+ )*(\S+\.ts)$/.exec(command)?.[1]
  return file === undefined ? [] : [[name === 'start' ? 'npm start' : `npm run ${name}`, file] as const]
})

test.each(programs)('%s -- --help shows how it is called, and does nothing else', async (call, file) => {
  const data = join(folder.path, 'help')
  const { code, output, errors } = await runNode([file, '--help'], { DATA_DIR: data, PORT: '0', CHAIN_PORT: '0' })
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  expect(output.startsWith(call)).toBe(true)
  expect(existsSync(data)).toBe(false)
})
