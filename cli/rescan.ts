// Reads final blocks of the chain again for deposits that were missed: npm run rescan -- [--from N] [--to N]
// [--contract NAME] [--json]. The watcher of the running platform does the work; this asks for it and shows how far it is.
import { userInfo } from 'node:os'
import { Failure } from '../domain/errors.ts'
import { sleep } from '../infra/async/sleep.ts'
import { openInstallation, readCursors, requestRescan, rescanProgress } from './installation.ts'
import { lastBlock, readBlocks } from './rescan/blocks.ts'
import { refuseFiles, runTool } from './tool.ts'

const usage = `npm run rescan -- [--from N] [--to N] [--contract NAME] [--json]
  --from N         the first block; 0 when left out
  --to N           the last block; the last final one that was read when left out, and never later
  --contract NAME  chain id and address, as "31337:0x…"; needed when there are several
  A deposit that the log has is not credited again. The watcher of the platform does the work while it runs; Ctrl-C ends
  the display alone.`

const lookEveryMs = 500

if (import.meta.main)
  await runTool({
    usage,
    counted: 'blocks',
    options: { from: { type: 'string' }, to: { type: 'string' }, contract: { type: 'string' } },
    open: async ({ options, files }, { config, log, shutdown }) => {
      refuseFiles(files)
      return { ...readBlocks(options), ...(await openInstallation({ config, log, shutdown })) }
    },
    run: async ({ from, to, database, server }, { options }, { signal, progress, printLine, answer }) => {
      const cursors = await readCursors(database)
      const [cursor, ...more] = cursors.filter(
        ({ name }) => options.contract === undefined || name === options.contract,
      )
      if (cursor === undefined || more.length > 0)
        throw new Failure('INPUT_INVALID', {
          contract: `takes one of: ${cursors.map(({ name }) => name).join(', ') || 'none, no block was read yet'}`,
        })
      const last = lastBlock({ from, to }, cursor)
      const by = `cli:${userInfo().username}`
      const id = await requestRescan(database, { cursorName: cursor.name, by, from, to: last })
      printLine(`Rescan ${id}: blocks ${from} to ${last} of ${cursor.name}.`)
      if (server === 'own') {
        printLine('No platform runs here: the next one that starts does the work.')
        answer({ rescan: String(id), done: false })
        return
      }
      for (;;) {
        const { next, recovered, done } = await rescanProgress(database, id)
        const read = Number(next - from)
        progress.report(Math.min(1, read / Number(last - from + 1n)), read)
        if (done) {
          progress.end()
          printLine(`Deposits that the log did not have as final: ${recovered}.`)
          answer({ rescan: String(id), done, recovered: String(recovered) })
          return
        }
        await sleep(lookEveryMs, signal)
        signal.throwIfAborted()
      }
    },
  })
