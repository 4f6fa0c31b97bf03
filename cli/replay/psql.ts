import { join, relative } from 'node:path'
import { quoted } from '../../infra/system/shell.ts'
import type { Installation } from '../installation.ts'

/** Returns the text as one word of a shell. It must not contain NUL, which no word of a shell can. */
export const quoteForShell = (text: string): string => (/^[\w./:@%+=,-]+$/.test(text) ? text : quoted(text))

/** Returns the command by which a person queries the result, in the folder where this program runs. */
export const psqlLine = (
  { databaseUrl, server }: Pick<Installation, 'databaseUrl' | 'server'>,
  dataDir: string,
  query: string,
): string => {
  const command = `-c ${quoteForShell(query)}`
  if (server === 'given') return `psql "$DATABASE_URL" ${command}`
  const { hostname, port, username, pathname } = new URL(databaseUrl)
  const where = `-h ${hostname} -p ${port} -U ${username} ${pathname.slice(1)}`
  const file = join(dataDir, 'keys', 'postgres')
  const near = relative(process.cwd(), file)
  return `PGPASSWORD=$(cat -- ${quoteForShell(near.startsWith('..') ? file : near)}) psql ${where} ${command}`
}
