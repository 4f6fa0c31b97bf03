// Nodes that answer /info as those of EventStoreDB do, as processes of their own.
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { ServerNode } from '../../bench/eventstoredb/nodes.ts'
import { sendSignal } from '../../infra/system/processes.ts'
import { isRunning } from '../children.ts'
import { eventually } from '../eventually.ts'
import { silentLog } from '../worlds/silent-log.ts'
import { keepNodesRunning, type Nodes } from './nodes.ts'

let folder: string
let nodes: Nodes | undefined
const files: ServerNode[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-nodes-'))
})
const pidOf = async ({ pidFile }: ServerNode) => Number(await readFile(pidFile, 'utf8').catch(() => '0'))
afterEach(async () => {
  await nodes?.close()
  nodes = undefined
  for (const node of files.splice(0)) {
    const pid = await pidOf(node)
    if (pid > 1 && isRunning(pid)) sendSignal(pid, 'SIGKILL')
  }
  await rm(folder, { recursive: true })
})

/** Writes a node that answers with its role, for the user of its address alone. */
const writeNode = async (name: string, state: string): Promise<ServerNode> => {
  const named = (ending: string) => join(folder, `${name}.${ending}`)
  const [program, pidFile, start, portFile] = [named('mjs'), named('pid'), named('start'), named('port')]
  const code = `
    import { existsSync, readFileSync, writeFileSync } from 'node:fs'
    import { createServer } from 'node:http'
    const known = existsSync('${portFile}') ? Number(readFileSync('${portFile}', 'utf8')) : 0
    const server = createServer(({ headers, url }, response) => {
      const isMeant = url === '/info' && headers.authorization === 'Basic ' + btoa('admin:a b')
      response.writeHead(isMeant ? 200 : 401).end('{"esVersion":"23.10.6.0","state":"${state}"}')
    })
    server.listen(known, '127.0.0.1', () => {
      writeFileSync('${portFile}', String(server.address().port))
      writeFileSync('${pidFile}', String(process.pid))
    })`
  await writeFile(program, code)
  await writeFile(
    start,
    `#!/bin/sh
rm -f '${pidFile}'
'${process.execPath}' '${program}' > /dev/null 2>&1 &
until [ -s '${pidFile}' ]; do sleep 0.02; done
`,
  )
  await chmod(start, 0o755)
  const node = { url: '', pidFile, start }
  files.push(node)
  return node
}

/** Starts it once, for its port. */
const started = async (node: ServerNode): Promise<ServerNode> => {
  await promisify(execFile)(node.start)
  const port = await readFile(node.pidFile.replace(/pid$/, 'port'), 'utf8')
  return { ...node, url: `esdb://admin:a%20b@127.0.0.1:${port}?tls=false` }
}

test('the one that leads is found and killed, and each that ends is started again', async () => {
  const leader = await started(await writeNode('one', 'Leader'))
  const follower = await started(await writeNode('two', 'Follower'))
  const [first, second] = [await pidOf(leader), await pidOf(follower)]
  process.kill(second, 'SIGKILL')
  await eventually('it has ended', () => !isRunning(second))
  nodes = await keepNodesRunning([leader, follower], silentLog)
  expect([nodes.count, nodes.version(), nodes.starts(), await pidOf(leader)]).toEqual([2, '23.10.6.0', 0, first])
  const third = await pidOf(follower)
  expect(isRunning(third)).toBe(true)

  expect(await nodes.kill('leader', 0.9)).toBe(true)
  await eventually('the leader is back', async () => ![0, first].includes(await pidOf(leader)))
  expect(await pidOf(follower)).toBe(third)
  await nodes.untilAllServe(10_000)
  expect(await nodes.kill('follower', 0)).toBe(true)
  await eventually('the follower is back', async () => ![0, third].includes(await pidOf(follower)))
  await nodes.untilAllServe(10_000)
  expect([nodes.starts(), nodes.endedThemselves()]).toEqual([2, 0])

  process.kill(await pidOf(leader), 'SIGTERM')
  await eventually('it is noticed', () => nodes?.endedThemselves() === 1)
  await eventually('it is started', () => nodes?.starts() === 3)
  await nodes.untilAllServe(10_000)
})

test('a pid that another process has got since is not killed', async () => {
  const node = await started(await writeNode('one', 'Leader'))
  nodes = await keepNodesRunning([node], silentLog)
  await nodes.close()
  const pid = await pidOf(node)
  await utimes(node.pidFile, new Date(0), new Date(0))
  expect([await nodes.kill('node', 0), isRunning(pid)]).toEqual([false, true])
})

test('nodes that cannot be started are an error with the file', async () => {
  const node = { url: 'esdb://127.0.0.1:1?tls=false', pidFile: join(folder, 'absent'), start: 'true' }
  await expect(keepNodesRunning([node], silentLog)).rejects.toThrow(`${node.pidFile} names no process after true`)
  await expect(keepNodesRunning([{ ...node, start: 'exit 7' }], silentLog)).rejects.toThrow('Command failed')
})
