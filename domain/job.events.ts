import { z } from 'zod'

import { type EventSchemas, field } from './events.ts'
import type { Event } from './job.ts'

const attempt = field.attempt.describe('The attempt to run the job; 0 before the first.')
const file = z
  .object({
    path: field.text.describe('Path below the working folder of the job.'),
    content: field.text.describe('Content of the file, as text.'),
  })
  .readonly()
const endedAt = field.time.describe('When the job ended.')

/** How job events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  JobSubmitted: {
    version: 1,
    schema: z
      .object({
        rental: field.id.describe('The rental on whose GPUs the job runs.'),
        renter: field.wallet.describe('The renter who submitted the job.'),
        command: z
          .array(field.text)
          .readonly()
          .meta({ description: 'The program and its arguments; no shell interprets them.', personal: true }),
        files: z
          .array(file)
          .readonly()
          .meta({ description: 'Files that are put into the working folder of the job.', personal: true }),
        environment: z
          .record(z.string(), field.text)
          .readonly()
          .meta({ description: 'Environment variables, by name.', personal: true }),
        timeoutSeconds: field.count.meta({ unit: 'seconds', description: 'How long an attempt may run.' }),
        cpuCores: field.count.meta({ unit: 'CPU cores', description: 'How many CPU cores the job may use.' }),
        memoryMib: field.mib.describe('How much memory the job may use.'),
        submittedAt: field.time.describe('When the job was submitted.'),
        graceSeconds: field.count
          .meta({
            unit: 'seconds',
            description: 'How long the program has to end after SIGTERM; 30 when it is left out, at most 300.',
          })
          .optional(),
      })
      .describe('A renter asked to run a program on the GPUs of a rental.'),
  },
  JobStarted: {
    version: 1,
    schema: z
      .object({
        attempt,
        cluster: field.text.describe('The cluster that runs the job.'),
        startedAt: field.time.describe('When the attempt started.'),
      })
      .describe('An attempt to run the job began on a cluster.'),
  },
  JobProgressed: {
    version: 1,
    schema: z
      .object({
        attempt,
        percent: z.number().meta({
          unit: 'percent',
          description: 'How much of the work is done, 0 to 100; it never falls within an attempt.',
        }),
        message: field.userText.describe('The message of the program.'),
        reportedAt: field.time.describe('When the progress was reported.'),
      })
      .describe('The program reported its progress.'),
  },
  JobSucceeded: { version: 1, schema: z.object({ attempt, endedAt }).describe('The program ended successfully.') },
  JobFailed: {
    version: 1,
    schema: z
      .object({
        attempt,
        code: field.code.describe('The kind of failure.'),
        message: field.userText.describe('Details of the failure.'),
        endedAt,
      })
      .describe('The job failed and is not tried again.'),
  },
  JobInterrupted: {
    version: 1,
    schema: z
      .object({
        attempt,
        reason: field.userText.describe('Why the attempt was lost; the text may quote the command.'),
        interruptedAt: field.time.describe('When the loss was noticed.'),
      })
      .describe('An attempt was lost through no fault of the program; the job is queued for the next attempt.'),
  },
  JobStopRequested: {
    version: 1,
    schema: z
      .object({
        reason: field.text.describe('Why the job is to be stopped, as a text of the platform.'),
        requestedAt: field.time.describe('When the stop was requested.'),
      })
      .describe('A stop of the job was requested.'),
  },
  JobStopped: { version: 1, schema: z.object({ attempt, endedAt }).describe('The job was stopped as requested.') },
}
