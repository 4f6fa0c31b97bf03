/** npm run abuse: starts a platform of its own, attacks it in all the ways that a guest, a provider and a rival program
 *  have, and measures its memory and the time of /health meanwhile. Exit code 0 only when every promise and limit
 *  held. */
import type { ParseArgsOptionsConfig } from 'node:util'
import { Failure } from '../domain/errors.ts'
import { readArguments } from '../infra/system/arguments.ts'
import { reportOf } from '../infra/system/report.ts'
import { heading, rowLines } from './abuse/report.ts'
import { type AbuseOptions, attackNames, runAbuse } from './abuse/run.ts'

export type { Row } from './abuse/run.ts'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const interruptedCode = 130
const mebibyte = 1024 * 1024

const usage = `npm run abuse -- [options]

  --only TEXT      only the attacks whose name has this text
  --short          a part of each attack, without limits of memory and time
  --rss-mib N      the most memory of the platform's process (1024)
  --health-ms N    the longest time of /health (250)
  --list           the names of the attacks
  --json           one JSON object for each attack
`

const flags = {
  only: { type: 'string', default: '' },
  short: { type: 'boolean', default: false },
  'rss-mib': { type: 'string', default: '1024' },
  'health-ms': { type: 'string', default: '250' },
  list: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const satisfies ParseArgsOptionsConfig

type Options = AbuseOptions & { readonly json: boolean; readonly printOnly: string | undefined }

/** Reads the command line. Throws INPUT_INVALID. */
const readOptions = (): Options => {
  const { values, positionals } = readArguments(flags)
  if (positionals.length > 0)
    throw new Failure('INPUT_INVALID', { arguments: positionals.join(' '), takes: 'options only' })
  const above = (name: 'rss-mib' | 'health-ms'): number => {
    const value = Number(values[name])
    if (!Number.isFinite(value) || value <= 0)
      throw new Failure('INPUT_INVALID', { [name]: values[name], takes: 'a number above 0' })
    return value
  }
  if (!attackNames().some((name) => name.includes(values.only)))
    throw new Failure('INPUT_INVALID', { only: values.only, takes: 'a part of a name that --list shows' })
  return {
    only: values.only,
    isShort: values.short,
    rssBytesMax: above('rss-mib') * mebibyte,
    healthMsMax: above('health-ms'),
    json: values.json,
    printOnly: values.help ? usage : values.list ? `${attackNames().join('\n')}\n` : undefined,
  }
}

const main = async (): Promise<number> => {
  const { json, printOnly, ...options } = readOptions()
  if (printOnly !== undefined) {
    process.stdout.write(printOnly)
    return 0
  }
  const stop = new AbortController()
  for (const name of signals)
    process.on(name, () => {
      if (!json && !stop.signal.aborted) process.stdout.write('stopping the platform\n')
      stop.abort()
    })
  if (!json) process.stdout.write(`${heading}\n`)
  const rows = await runAbuse(options, stop.signal, (row) =>
    process.stdout.write(json ? `${JSON.stringify(row)}\n` : `${rowLines(row)}\n`),
  )
  if (stop.signal.aborted) return interruptedCode
  const broken = rows.filter(({ complaints }) => complaints.length > 0).length
  if (!json) process.stdout.write(`\n${rows.length - broken} held, ${broken} broken\n`)
  return broken === 0 ? 0 : 1
}

try {
  // Connections of an attack that was broken off must not keep the program.
  process.exit(await main())
} catch (error) {
  process.stderr.write(`${reportOf(error).message}\n`)
  process.exit(2)
}
