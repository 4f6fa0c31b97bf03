import { z } from 'zod'

import { type CommandFields, type EventSchemas, field } from './events.ts'
import { argumentsMax, type Command, type Event, graceSecondsMax, messageCharactersMax } from './job.ts'
import { int32Max } from './limits.ts'

const attempt = field.attempt.describe('The attempt to run the job; 0 before the first.')

// An argument, or a variable with its name, has at most 128 KiB on Linux: 32,768 characters take up to three bytes
// each. All fields together stay below 1 MiB as JSON, the size of an event that every event store accepts.
const wordCharactersMax = 32_768
const wordsBytesMax = 131_072
const filesJsonBytesMax = 262_144
const nameCharactersMax = 200
const pathCharactersMax = 1_000
const contentCharactersMax = 65_536
const filesMax = 1_000
const variablesMax = 1_000

/** One word of a command, or the value of a variable. */
export const jobWordField = z.string().meta({ limit: { charactersMax: wordCharactersMax } })
/** A file of a job. */
export const jobFileFields = {
  path: z.string().meta({
    description: 'Path below the working folder of the job.',
    limit: { charactersMin: 1, charactersMax: pathCharactersMax },
  }),
  content: z.string().meta({
    description: 'Content of the file, as text.',
    limit: { charactersMax: contentCharactersMax },
  }),
}
/** An environment variable of a job. */
export const jobVariableFields = {
  name: z.string().meta({ limit: { charactersMin: 1, charactersMax: nameCharactersMax } }),
  value: jobWordField,
}
const command = z
  .array(jobWordField)
  .readonly()
  .meta({
    description: 'The program and its arguments; no shell interprets them.',
    personal: true,
    limit: { itemsMax: argumentsMax, bytesMax: wordsBytesMax },
  })
const files = z
  .array(z.object(jobFileFields).readonly())
  .readonly()
  .meta({
    description: 'Files that are put into the working folder of the job.',
    personal: true,
    limit: { itemsMax: filesMax, bytesMax: filesJsonBytesMax },
  })
const environment = z
  .record(jobVariableFields.name, jobVariableFields.value)
  .readonly()
  .meta({
    description: 'Environment variables, by name.',
    personal: true,
    limit: { itemsMax: variablesMax, bytesMax: wordsBytesMax },
  })
const atLeastOne = { limit: { min: 1, max: int32Max } }
const timeoutSeconds = field.count.meta({
  unit: 'seconds',
  description: 'How long an attempt may run.',
  ...atLeastOne,
})
const cpuCores = field.count.meta({
  unit: 'CPU cores',
  description: 'How many CPU cores the job may use.',
  ...atLeastOne,
})
const memoryMib = field.mib.meta({ description: 'How much memory the job may use.', ...atLeastOne })
/** How long a job has to end after SIGTERM. */
export const jobGraceField = field.count.meta({
  unit: 'seconds',
  description: 'How long the program has to end between SIGTERM and SIGKILL. Left out: 30.',
  limit: { min: 0, max: graceSecondsMax },
})
const percent = z.number().meta({
  unit: 'percent',
  description: 'How much of the work is done, 0 to 100; it never falls within an attempt.',
  limit: { min: 0, max: 100 },
})
const report = field.userText.meta({ limit: { charactersMax: messageCharactersMax } })
const { time } = field
const endedAt = field.time.describe('When the job ended.')

/** The fields of commands, whose limits count before a command is decided. `percent` has none: a report of more than
 *  100 counts as 100. */
export const commandFields: CommandFields<Command> = {
  rental: field.id,
  renter: field.wallet,
  command,
  files,
  environment,
  timeoutSeconds,
  cpuCores,
  memoryMib,
  graceSeconds: jobGraceField,
  submittedAt: time,
  attempt,
  cluster: field.text,
  startedAt: time,
  percent: z.number(),
  message: report,
  reportedAt: time,
  code: field.code,
  reason: report,
  interruptedAt: time,
  requestedAt: time,
  operator: field.wallet,
  declaredAt: time,
  endedAt,
}

/** How job events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  JobSubmitted: {
    version: 1,
    schema: z
      .object({
        rental: field.id.describe('The rental on whose GPUs the job runs.'),
        renter: field.wallet.describe('The renter who submitted the job.'),
        command,
        files,
        environment,
        timeoutSeconds,
        cpuCores,
        memoryMib,
        submittedAt: field.time.describe('When the job was submitted.'),
        graceSeconds: jobGraceField.optional(),
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
        percent,
        message: report.describe('The message of the program.'),
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
        message: report.describe('Details of the failure.'),
        endedAt,
      })
      .describe('The job failed and is not tried again.'),
  },
  JobInterrupted: {
    version: 1,
    schema: z
      .object({
        attempt,
        reason: report.describe('Why the attempt was lost; the text may quote the command.'),
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
