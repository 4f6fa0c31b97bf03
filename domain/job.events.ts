import { z } from 'zod'

import { type EventSchemas, field } from './events.ts'
import type { Event } from './job.ts'

/** How job events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  JobSubmitted: {
    version: 1,
    schema: z.object({
      rental: field.id,
      renter: field.id,
      command: z.array(field.text).readonly(),
      files: z.array(z.object({ path: field.text, content: field.text }).readonly()).readonly(),
      environment: z.record(z.string(), field.text).readonly(),
      timeoutSeconds: field.count,
      cpuCores: field.count,
      memoryMib: field.count,
      submittedAt: field.time,
    }),
  },
  JobStarted: { version: 1, schema: z.object({ attempt: field.count, cluster: field.text, startedAt: field.time }) },
  JobProgressed: {
    version: 1,
    schema: z.object({ attempt: field.count, percent: z.number(), message: field.text, reportedAt: field.time }),
  },
  JobSucceeded: { version: 1, schema: z.object({ attempt: field.count, endedAt: field.time }) },
  JobFailed: {
    version: 1,
    schema: z.object({ attempt: field.count, code: field.code, message: field.text, endedAt: field.time }),
  },
  JobInterrupted: {
    version: 1,
    schema: z.object({ attempt: field.count, reason: field.text, interruptedAt: field.time }),
  },
  JobStopRequested: { version: 1, schema: z.object({ reason: field.text, requestedAt: field.time }) },
  JobStopped: { version: 1, schema: z.object({ attempt: field.count, endedAt: field.time }) },
}
