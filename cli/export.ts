// Exports the log: npm run export -- --out DIR [--format parquet|jsonl] [--to X] [--include-personal-data] [--json]
import { Failure } from '../domain/errors.ts'
import { counted } from '../domain/text.ts'
import { formats } from './export/formats.ts'
import { exportLog } from './export/run.ts'
import { openInstallation, secretOf } from './installation.ts'
import { refuseFiles, runTool } from './tool.ts'

import { userPath } from './user-path.ts'

export { exportLog } from './export/run.ts'

const usage = `npm run export -- --out DIR [--format parquet|jsonl] [--to X] [--include-personal-data] [--json]
  --out DIR                the folder: a new one, or that of an earlier export, which then gets what is new
  --format parquet|jsonl   Parquet when left out; jsonl is one JSON object per line
  --to X                   a position of the log: the last one that is exported; or a day or a moment: the export ends
                           before the first event of that time
  --include-personal-data  wallets, names, commands, files and messages as they are; when left out, wallets become
                           pseudonyms and the rest is not exported
  --json                   one JSON object per line; the last has the result (npm run -s adds no lines of npm)
  The log is that of DATABASE_URL and EVENTSTORE_URL, else of the embedded PostgreSQL under DATA_DIR.`

if (import.meta.main)
  await runTool({
    usage,
    options: {
      out: { type: 'string' },
      format: { type: 'string' },
      to: { type: 'string' },
      'include-personal-data': { type: 'boolean' },
    },
    open: async ({ options, files }, { config, log, shutdown }) => {
      const { out, format: asked = 'parquet' } = options
      refuseFiles(files)
      if (!out) throw new Failure('INPUT_INVALID', { out: 'name a folder: --out DIR' })
      const format = formats.find((known) => known === asked)
      if (format === undefined) throw new Failure('INPUT_INVALID', { format: asked, takes: formats.join(' or ') })
      const { store } = await openInstallation({ config, log, shutdown })
      const pseudonymKey = options['include-personal-data'] ? undefined : await secretOf(config, 'export')
      return { out: userPath(out), format, store, pseudonymKey }
    },
    run: async ({ out, format, store, pseudonymKey }, { options: { to } }, { signal, progress, printLine, answer }) => {
      printLine(`Exporting the log into ${out}.`)
      const began = performance.now()
      const { events, manifest } = await exportLog({
        out,
        format,
        pseudonymKey,
        to,
        store,
        onProgress: progress.report,
        signal,
      })
      progress.end()
      const seconds = (performance.now() - began) / 1000
      const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
      printLine(`${counted(events, 'event')} exported in ${seconds.toFixed(1)} s, up to position ${manifest.position}.`)
      printLine(
        `${counted(manifest.events, 'event')} in ${counted(manifest.files.length, 'file')}, ${(bytes / 1024 / 1024).toFixed(1)} MiB; personal data ${manifest.personalData}.`,
      )
      const read = format === 'parquet' ? 'read_parquet' : 'read_json'
      printLine(
        `\nTo query it, in DuckDB:\n  select type, count(*) from ${read}('${out}/day=*/*.${format}', hive_partitioning = true) group by type`,
      )
      answer({
        out,
        format,
        events,
        seconds,
        position: manifest.position,
        totalEvents: manifest.events,
        files: manifest.files.length,
        bytes,
        personalData: manifest.personalData,
      })
    },
  })
