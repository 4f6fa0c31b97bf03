import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../free-port.ts'

/** PgBouncer refuses to run as root. */
const nobody = 65_534

/** Returns the path of PgBouncer; undefined where it is not installed. */
export const findPgbouncer = (): string | undefined =>
  ['/usr/sbin/pgbouncer', '/usr/local/bin/pgbouncer', 'pgbouncer'].find(
    (path) => spawnSync(path, ['--version']).status === 0,
  )

/** Starts PgBouncer in front of the database at `url`. Resolves to the address of the same database behind it. */
export const startPgbouncer = async (
  program: string,
  url: string,
  mode: 'session' | 'transaction' | 'statement',
): Promise<{ readonly url: string; close(): Promise<void> }> => {
  const target = new URL(url)
  const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-pgbouncer-'))
  const port = await freePort()
  const database = target.pathname.slice(1)
  const { username, password } = target
  await writeFile(join(folder, 'users.txt'), `"${username}" "${decodeURIComponent(password)}"\n`)
  await writeFile(
    join(folder, 'pgbouncer.ini'),
    `[databases]
${database} = host=${target.hostname} port=${target.port} dbname=${database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${join(folder, 'users.txt')}
pool_mode = ${mode}
default_pool_size = 40
max_client_conn = 200
`,
  )
  const asRoot = process.getuid?.() === 0
  for (const path of [folder, join(folder, 'users.txt'), join(folder, 'pgbouncer.ini')]) {
    await chmod(path, path === folder ? 0o755 : 0o644)
    if (asRoot) await chown(path, nobody, nobody)
  }
  const child = spawn(program, [join(folder, 'pgbouncer.ini')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(asRoot && { uid: nobody, gid: nobody }),
  })
  await untilUp(child)
  const behind = new URL(url)
  behind.hostname = '127.0.0.1'
  behind.port = String(port)
  return {
    url: behind.href,
    close: async () => {
      const ended = once(child, 'exit')
      if (child.exitCode === null) child.kill('SIGKILL')
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const untilUp = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    let output = ''
    child.once('exit', (code) => reject(new Error(`PgBouncer ended with ${code}:\n${output}`)))
    child.stderr?.on('data', (text: Buffer) => {
      output += String(text)
      if (output.includes('process up')) resolve()
    })
  })
