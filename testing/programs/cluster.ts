/** A program that launches one job with the process engine and follows it, made to be killed at any moment:
 *  node testing/programs/cluster.ts <root> <job description as JSON> [<isolation> [<secret file>…]]. Prints each thing
 *  that happens on its own line. */
import type { JobSpec } from '../../infra/clusters/port.ts'
import { type IsolationKind, processCluster } from '../../infra/clusters/process.ts'
import { closeInherited } from '../../infra/system/inherited.ts'

// As the platform does.
closeInherited()

const [, , root = '', spec = '', only, ...secretFiles] = process.argv
const print = (line: string) => process.stdout.write(`${line}\n`)
// Where the isolation asked for is not possible, a hostile job must not run without any.
const trust = only === undefined || only === 'none' ? 'own' : 'strangers'
const cluster = processCluster({ root, trust, ...(only && { only: only as IsolationKind }), secretFiles })
print('launching')
print(
  await cluster.launch(JSON.parse(spec) as JobSpec, {
    started: () => print('started'),
    progressed: ({ percent }) => print(`progressed ${percent}`),
    ended: ({ ended }) => print(`ended ${ended}`),
  }),
)
