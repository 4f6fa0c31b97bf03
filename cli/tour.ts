// Plays one whole rental and prints each step: npm run tour -- [--offers FILE] [--url URL] [--json]
import { once } from 'node:events'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { withoutTrailing } from '../domain/text.ts'
import { readConfig } from '../infra/config.ts'
import { listenToSignals } from '../infra/shutdown.ts'
import { onUnreadOutput, printReport } from '../infra/system/report.ts'
import { reachPlatform } from './platform.ts'
import { reportOf } from './report.ts'
import { createPrinter } from './tour/print.ts'
import { playTour } from './tour/story.ts'

export { createPrinter } from './tour/print.ts'
export { playTour } from './tour/story.ts'

const usage = `npm run tour -- [--offers FILE] [--url URL] [--json]
  --offers FILE  offers in the SkyPilot catalog format; the project's own sample when left out
  --url URL      a running platform; http://127.0.0.1:4000 when left out, and one is started when none answers there
  --json         one JSON object per line (npm run -s adds no lines of npm)`

const readOptions = () =>
  parseArgs({
    options: {
      offers: { type: 'string', default: relative(process.cwd(), join(import.meta.dirname, 'tour', 'offers.csv')) },
      url: { type: 'string', default: `http://127.0.0.1:${readConfig(process.env).port}` },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  }).values

const run = async (signal: AbortSignal): Promise<void> => {
  const options = readOptions()
  if (options.help) return console.log(usage)
  const print = createPrinter({
    json: options.json,
    terminal: process.stdout.isTTY === true,
    write: (text) => signal.aborted || process.stdout.write(text),
  })
  const began = performance.now()
  print.chapter('The platform')
  const url = withoutTrailing(options.url, '/')
  const platform = await reachPlatform(url, { JOB_TRUST: 'own' }, (line) => print.text(line), signal)
  try {
    const how = 'started for this tour, with JOB_TRUST=own: only the job of the tour runs there'
    print.text(`${platform.started ? how : 'already running'} at ${platform.url}`)
    await Promise.race([playTour(platform.url, options.offers, print), once(signal, 'abort')])
  } finally {
    await platform.close()
  }
  if (signal.aborted) return
  print.text(`\n   The tour took ${((performance.now() - began) / 1000).toFixed(1)} s.`)
}

if (import.meta.main) {
  const ending = new AbortController()
  let code = 0
  const end = (given: number) => {
    code ||= given
    ending.abort()
  }
  listenToSignals(
    () => end(130),
    () => process.exit(130),
  )
  onUnreadOutput(() => end(141))
  run(ending.signal)
    .catch((error) => {
      if (code !== 0) return
      printReport(reportOf(error))
      code = 1
    })
    // A story that was broken off still waits for a platform that is gone.
    .finally(() => process.exit(code))
}
