import { z } from 'zod'
import { setting, wholeNumber } from './setting.ts'

/** What a process of the platform can do (ROLES). */
export const roles = ['gateway', 'projector', 'scheduler', 'watcher', 'worker'] as const
export type Role = (typeof roles)[number]

/** From the most important level to the least; `silent` logs nothing. */
export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

const roleList = z
  .string()
  .transform((text) => [...new Set(text.split(',').map((role) => role.trim()))])
  .pipe(z.array(z.enum(roles)).min(1))

/** Settings: what a process does and what it logs. */
export const platformSettings = {
  LOG_LEVEL: setting(z.enum(logLevels), {
    description: 'The least important log line that is written.',
    takes: `one of ${logLevels.join(', ')}`,
    example: 'debug',
    unset: 'info',
  }),
  LOG_FORMAT: setting(z.enum(['pretty', 'json']), {
    description: 'One line for people, or one JSON object for machines.',
    takes: 'pretty or json',
    example: 'json',
    unset: 'pretty on a terminal, else json',
  }),
  ROLES: setting(roleList, {
    description: 'What this process does. Each role may run in as many processes as wanted.',
    takes: `a comma-separated list of ${roles.join(', ')}`,
    example: 'gateway,projector',
    unset: 'all',
  }),
  CHARGE_PERIOD_SECONDS: setting(wholeNumber(1, 86_400), {
    description: 'How often a running rental is charged. The total does not depend on it.',
    takes: 'a whole number from 1 to 86400',
    example: '60',
    unset: '300',
  }),
}
