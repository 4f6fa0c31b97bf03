/** A program that launches one job with the process engine and follows it, made to be killed at any moment:
 *  node testing/programs/cluster.ts <root> <job description as JSON>. Prints each thing that happens on a line of its own. */
import type { JobSpec } from '../../infra/clusters/port.ts'
import { processCluster } from '../../infra/clusters/process.ts'

const [, , root = '', spec = ''] = process.argv
const say = (line: string) => process.stdout.write(`${line}\n`)
const cluster = processCluster({ root })
say('launching')
say(
  await cluster.launch(JSON.parse(spec) as JobSpec, {
    started: () => say('started'),
    progressed: ({ percent }) => say(`progressed ${percent}`),
    ended: ({ ended }) => say(`ended ${ended}`),
  }),
)
