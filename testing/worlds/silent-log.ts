import { createLog, type Log } from '../../infra/telemetry.ts'

/** A log that writes nothing. */
export const silentLog: Log = createLog({ level: 'silent', format: 'json' })
