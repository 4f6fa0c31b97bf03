// Plays one whole rental and prints each step: npm run tour -- [--offers FILE] [--url URL] [--json]
import { join, relative } from 'node:path'
import { withoutTrailing } from '../domain/text.ts'
import { createClient } from './client.ts'
import { type ReachedPlatform, reachPlatform } from './platform.ts'
import { readText } from './read-text.ts'
import { refuseFiles, runTool, type ToolContext } from './tool.ts'
import { createPrinter, type Printer } from './tour/print.ts'
import { playTour } from './tour/story.ts'

export { createPrinter } from './tour/print.ts'
export { playTour } from './tour/story.ts'

const usage = `npm run tour -- [--offers FILE] [--url URL] [--json]
  --offers FILE  offers in the SkyPilot catalog format; the project's own sample when left out
  --url URL      a running platform; when left out, that at http://127.0.0.1:PORT (4000), or one is started
  --json         one JSON object per line (npm run -s adds no lines of npm)`

/** A platform ends its jobs in order. */
const platformStopMsMax = 50_000

/** Resolves to the platform that the user named. Throws INPUT_INVALID, PLATFORM_UNREACHABLE. */
const reachGiven = async (given: string): Promise<ReachedPlatform> => {
  const url = withoutTrailing(given, '/')
  const client = createClient(url)
  try {
    await client.query('{ head }')
  } finally {
    await client.close()
  }
  return { url, started: false, close: async () => undefined }
}

const reachOrStart = async ({ config, shutdown, signal }: ToolContext, print: Printer): Promise<ReachedPlatform> => {
  const url = `http://127.0.0.1:${config.port}`
  const platform = await reachPlatform(url, { JOB_TRUST: 'own' }, (line) => print.text(line), signal)
  shutdown.add('platform', () => platform.close(), { closeMs: platformStopMsMax })
  return platform
}

if (import.meta.main)
  await runTool({
    usage,
    options: { offers: { type: 'string' }, url: { type: 'string' } },
    open: async ({ options, files }, context) => {
      refuseFiles(files)
      const file = options.offers ?? relative(process.cwd(), join(import.meta.dirname, 'tour', 'offers.csv'))
      const offers = { file, csv: await readText(file) }
      const began = performance.now()
      const print = createPrinter({
        json: process.argv.includes('--json'),
        terminal: process.stdout.isTTY === true,
        write: (text) => process.stdout.write(text),
      })
      print.chapter('The platform')
      const platform = await (options.url === undefined ? reachOrStart(context, print) : reachGiven(options.url))
      const how = 'started for this tour, with JOB_TRUST=own: only the job of the tour runs there'
      print.text(`${platform.started ? how : 'already running'} at ${platform.url}`)
      return { platform, offers, print, began }
    },
    run: async ({ platform, offers, print, began }, _, { signal }) => {
      await playTour(platform.url, offers, print, signal)
      print.text(`\n   The tour took ${((performance.now() - began) / 1000).toFixed(1)} s.`)
    },
  })
