// Hostile jobs, submitted through the API by a wallet that has rented.
import type { Client } from '../../cli/client.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { napSeconds, slowAttacks } from '../programs/hostile-attacks.ts'
import { createListing, createRenter } from '../worlds/renter.ts'
import { type Attack, type Target, times, unless } from './attack.ts'

const gpuCount = 4
const endedMsMax = 180_000

type Program = {
  readonly name: string
  readonly command: readonly string[]
  readonly timeoutSeconds: number
  /** How the job must end; undefined where its end is its own. */
  readonly code?: string
}

/** Of the attacks that are tried behind all walls, those that act on the whole platform. */
const chosen: readonly (readonly [name: string, code?: string])[] = [
  ['leaves daemons'],
  ['signals others'],
  ['forks without end'],
  ['prints without end, and empties its log in between', 'JOB_OUTPUT_EXCEEDED'],
  ['names a program with every character', 'JOB_COMMAND_NOT_FOUND'],
]

const programs: readonly Program[] = [
  ...chosen.map(([name, code]): Program => {
    const found = slowAttacks.find((attack) => attack.name === name)
    if (!found) throw new Error(`there is no hostile job '${name}'`)
    const { command = [], timeoutSeconds = 60 } = found.spec
    return { name, command, timeoutSeconds, ...(code === undefined ? {} : { code }) }
  }),
  {
    name: 'takes all memory',
    command: ['sh', '-c', 'text=x; while :; do text=$text$text; done'],
    timeoutSeconds: 60,
    code: 'JOB_MEMORY_EXCEEDED',
  },
  {
    name: 'prints progress without end',
    command: ['sh', '-c', 'while :; do echo "progress 42 $0$0$0"; done', 'x'.repeat(300)],
    timeoutSeconds: 60,
    code: 'JOB_OUTPUT_EXCEEDED',
  },
]

type Job = { readonly status: string; readonly code: string | null; readonly log: { readonly text: string } }

/** Submits a job, and resolves to what did not hold once it has ended. */
const runJob = async (target: Target, client: Client, rental: string, program: Program): Promise<readonly string[]> => {
  const { name, command, timeoutSeconds, code } = program
  const pid = String(target.pid)
  const environment = [
    { name: 'PLATFORM', value: pid },
    { name: 'VICTIM', value: pid },
  ]
  const input = { rental, command, timeoutSeconds, graceSeconds: 0, environment, memoryMib: 512 }
  const submitted = { ...input, idempotencyKey: crypto.randomUUID() }
  const sent = await client.mutate<{ id: string; position: string }>('submitJob', submitted, 'id position')
  const query =
    'query ($id: ID!, $position: Position) { job(id: $id, atLeast: $position) { status code log(bytesMax: 60000) { text } } }'
  let job: Job | null | undefined
  const ended = async () => {
    job = (await client.query<{ job: Job | null }>(query, sent)).job
    return job !== null && job.status !== 'queued' && job.status !== 'running'
  }
  const failure = await eventually(`the job ends: ${name}`, ended, endedMsMax).then(() => undefined, String)
  return [
    ...unless(failure === undefined, `the job that ${name} does not end: ${failure}`),
    ...unless(
      failure !== undefined || code === undefined || job?.code === code,
      `the job that ${name} ended with ${job?.code}`,
    ),
    ...unless(job?.log.text.includes('BREACH') !== true, `the job that ${name} reached what is not its own`),
  ]
}

const hostile: Attack = {
  name: 'hostile jobs of a renter, through submitJob',
  run: async (target) => {
    const listing = await createListing(target.url, gpuCount, '1')
    const { client } = await createRenter(target.url, 10_000_000n)
    try {
      const request = { listing, gpuCount, hours: 1, maxPricePerGpuHour: '1', idempotencyKey: crypto.randomUUID() }
      const { id: rental } = await client.mutate<{ id: string }>('rentGpu', request, 'id position')
      const count = target.much(programs.length * 4, programs.length)
      const complaints = await times(count, gpuCount, (index) =>
        runJob(target, client, rental, programs[index % programs.length] as Program),
      )
      await client.mutate('endRental', { rental }, 'position')
      const left = (await processesNaming(`sleep\0${napSeconds}`)).length
      return [...complaints.flat(), ...unless(left === 0, `${left} processes of ended jobs are left`)]
    } finally {
      await client.close()
    }
  },
}

export const jobAttacks: readonly Attack[] = [hostile]
