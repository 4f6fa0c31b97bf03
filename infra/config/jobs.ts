import { z } from 'zod'
import { setting } from './setting.ts'

/** Settings: how jobs run on the embedded cluster. */
export const jobsSettings = {
  JOB_DIR: setting(z.string().min(1), {
    description: 'The folder in which jobs of the embedded cluster run.',
    takes: 'a path',
    example: '/srv/neuralmesh-jobs',
    unset: 'jobs under DATA_DIR',
  }),
  JOB_TRUST: setting(z.enum(['strangers', 'own']), {
    description: 'Whose jobs run on this machine. With own, they run also where nothing isolates them.',
    takes: 'strangers or own',
    example: 'own',
    unset: 'strangers',
  }),
  JOBS_ON_SIGTERM: setting(z.enum(['end', 'leave']), {
    description:
      'What SIGTERM does to running jobs: ends them, or leaves them to be adopted by the next start. Ctrl-C ends them.',
    takes: 'end or leave',
    example: 'leave',
    unset: 'end',
  }),
}
