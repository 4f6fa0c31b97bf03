import { NO_STREAM } from '@eventstore/db-client'
import { appendForAWhile, type Load } from '../append/callers.ts'
import type { Outcome, Task } from '../task.ts'
import { withClient } from './connect.ts'

/** Measures the client as it comes: its appends share one call, and it asks for no leader. */
export const contestant = ({ url, parameters }: Task<Load & { run: string }>): Promise<Outcome> =>
  withClient(url, async (client) => ({
    eventsPerSecond: await appendForAWhile(parameters, (name, revision, events) =>
      client.appendToStream(
        `${name}-${parameters.run}-client`,
        events.map((event) => ({ ...event, contentType: 'application/json' })) as never,
        { expectedRevision: revision < 0 ? NO_STREAM : BigInt(revision) },
      ),
    ),
  }))
