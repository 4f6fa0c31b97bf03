import { z } from 'zod'

import { type EventSchemas, field } from './events.ts'
import type { Event } from './job.ts'

const attempt = field.attempt.describe('Which try to run it this is about; 0 before the first.')
const file = z
  .object({ path: field.text.describe('Below its working folder.'), content: field.text.describe('As text.') })
  .readonly()
const endedAt = field.time.describe('When it ended.')

/** How job events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  JobSubmitted: {
    version: 1,
    schema: z
      .object({
        rental: field.id.describe('The rental on whose GPUs it runs.'),
        renter: field.wallet.describe('Who submitted it.'),
        command: z
          .array(field.text)
          .readonly()
          .meta({ description: 'The program and its arguments; no shell reads them.', personal: true }),
        files: z
          .array(file)
          .readonly()
          .meta({ description: 'Files that are put into its working folder.', personal: true }),
        environment: z
          .record(z.string(), field.text)
          .readonly()
          .meta({ description: 'Environment variables, by name.', personal: true }),
        timeoutSeconds: field.count.meta({ unit: 'seconds', description: 'How long it may run.' }),
        cpuCores: field.count.meta({ unit: 'CPU cores', description: 'How many it may use.' }),
        memoryMib: field.mib.describe('How much memory it may use.'),
        submittedAt: field.time.describe('When it was submitted.'),
      })
      .describe('A renter asked to run a program on the GPUs of a rental.'),
  },
  JobStarted: {
    version: 1,
    schema: z
      .object({
        attempt,
        cluster: field.text.describe('The cluster that runs it.'),
        startedAt: field.time.describe('When it started.'),
      })
      .describe('An attempt to run the job began on a cluster.'),
  },
  JobProgressed: {
    version: 1,
    schema: z
      .object({
        attempt,
        percent: z.number().meta({ unit: 'percent', description: 'How much is done, 0 to 100; it never falls.' }),
        message: field.ownWords.describe('What the program says about it.'),
        reportedAt: field.time.describe('When it was said.'),
      })
      .describe('The program said how far it has come.'),
  },
  JobSucceeded: { version: 1, schema: z.object({ attempt, endedAt }).describe('The program ended well.') },
  JobFailed: {
    version: 1,
    schema: z
      .object({
        attempt,
        code: field.code.describe('What kind of failure it was.'),
        message: field.ownWords.describe('What is known about it besides the code.'),
        endedAt,
      })
      .describe('The job failed for good.'),
  },
  JobInterrupted: {
    version: 1,
    schema: z
      .object({
        attempt,
        reason: field.ownWords.describe('What happened; it may quote the command.'),
        interruptedAt: field.time.describe('When it was noticed.'),
      })
      .describe('An attempt was lost through no fault of the program; the job waits for the next one.'),
  },
  JobStopRequested: {
    version: 1,
    schema: z
      .object({
        reason: field.text.describe('Why, in the words of the platform.'),
        requestedAt: field.time.describe('When it was asked for.'),
      })
      .describe('Somebody asked that the job be stopped.'),
  },
  JobStopped: { version: 1, schema: z.object({ attempt, endedAt }).describe('The job was stopped as asked for.') },
}
