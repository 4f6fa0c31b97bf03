// Replays history through the projection of an analyst: npm run replay -- FILE.ts [--from X] [--to X] [--as-of X]
// [--schema NAME] [--json]
import { counted } from '../domain/text.ts'
import { openInstallation } from './installation.ts'
import { loadReplay, schemaNameOf } from './replay/load.ts'
import { psqlLine } from './replay/psql.ts'
import { runReplay } from './replay/run.ts'
import { checkSchemaName } from './replay/schema.ts'
import { printTables, readTables } from './replay/show.ts'
import { oneFile, runTool } from './tool.ts'

export { runReplay } from './replay/run.ts'

const usage = `npm run replay -- FILE.ts [--from X] [--to X] [--as-of X] [--schema NAME] [--json]
  FILE.ts        its default export is a replay (docs/replaying.md); analysis/revenue-by-gpu.ts is one
  --from X       the result counts events from here on; lookup tables have all earlier ones
  --to X         history ends here
  --as-of X      history ends here as it does for asOf in the API
  --schema NAME  the schema that is made or replaced: replay_ and a name; that of the file when left out
  --json         one JSON object per line; the last has the result (npm run -s adds no lines of npm)
  X is a position of the log, a day (2026-11-22) or a moment (2026-11-22T10:00:00Z).
  The log is that of DATABASE_URL and EVENTSTORE_URL, else of the embedded PostgreSQL under DATA_DIR.`

if (import.meta.main)
  await runTool({
    usage,
    options: {
      from: { type: 'string' },
      to: { type: 'string' },
      'as-of': { type: 'string' },
      schema: { type: 'string' },
    },
    open: async ({ options, files }, { config, log, shutdown }) => {
      const file = oneFile(files)
      const schema = options.schema ?? schemaNameOf(file)
      checkSchemaName(schema)
      const replay = await loadReplay(file)
      return { file, schema, replay, installation: await openInstallation({ config, log, shutdown }) }
    },
    run: async (opened, { options }, { config, signal, progress, printLine, answer }) => {
      const { file, schema, replay, installation } = opened
      const { database, store, server } = installation
      printLine(`Replaying ${file} into the schema ${schema}.`)
      const began = performance.now()
      const result = await runReplay({
        replay,
        schema,
        period: { from: options.from, to: options.to, asOf: options['as-of'] },
        about: { file, madeAt: new Date().toISOString() },
        store,
        database,
        onProgress: progress.report,
        signal,
      })
      progress.end()
      const seconds = (performance.now() - began) / 1000
      const tables = await readTables(database, schema, replay.tables)
      const upTo = result.begins === undefined ? `, up to position ${result.position}` : ''
      printLine(`${counted(result.events, 'event')} folded in ${seconds.toFixed(1)} s${upTo}.`)
      if (result.begins !== undefined) printLine(`Nothing lies in this period: history begins at ${result.begins}.`)
      if (result.leftover)
        printLine(`The former result is kept as ${schema}__former until the next run: ${result.leftover}`)
      for (const line of printTables(schema, tables)) printLine(line)
      const [first] = tables
      printLine(`\nTo query it${server === 'own' ? ', while the platform runs' : ''}:`)
      printLine(`  ${psqlLine(installation, config.dataDir, `select * from ${schema}.${first?.name}`)}`)
      answer({ schema, ...result, seconds, tables })
    },
  })
