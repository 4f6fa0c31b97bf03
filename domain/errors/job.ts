/** Refusals and failures: job. */
export const jobErrors = {
  JOB_UNKNOWN: { message: 'There is no such job.', hint: 'Check the id.' },
  JOB_ALREADY_SUBMITTED: {
    message: 'This job was already submitted.',
    hint: 'Read it instead of submitting it again.',
  },
  JOB_INVALID: { message: 'The job description is not valid.', hint: 'See the details for the field.' },
  JOB_NOT_QUEUED: { message: 'The job is not waiting to be started.', hint: 'Look at its status.' },
  JOB_NOT_RUNNING: { message: 'The job is not running.', hint: 'Look at its status.' },
  JOB_ATTEMPT_STALE: {
    message: 'This report comes from an attempt that is over.',
    hint: 'Only the current attempt may report.',
  },
  JOB_FINISHED: { message: 'The job has finished.', hint: 'Submit a new one.' },
  JOB_COMMAND_NOT_FOUND: {
    message: 'The command of the job does not exist on the cluster.',
    hint: 'Check the name of the program and the files sent with the job.',
  },
  JOB_EXIT_NONZERO: { message: 'The job ended with an exit code other than 0.', hint: 'Read its log.' },
  JOB_TIMED_OUT: {
    message: 'The job ran longer than its timeout and was stopped.',
    hint: 'Submit it with a larger timeoutSeconds.',
  },
  JOB_MEMORY_EXCEEDED: {
    message: 'The job used more memory than its limit and was stopped.',
    hint: 'Raise memoryMib, or use less.',
  },
  JOB_OUTPUT_EXCEEDED: { message: 'The job printed more than its log can hold and was stopped.', hint: 'Print less.' },
  JOB_DISK_EXCEEDED: {
    message: 'The job wrote more to the disk than it may and was stopped.',
    hint: 'Write less, or remove what is no longer needed.',
  },
  JOB_PORT_TAKEN: {
    message: 'The job listened on a port of the platform and was stopped.',
    hint: 'Listen on another port.',
  },
  JOB_ISOLATION_MISSING: {
    message: 'This machine cannot keep the job away from others, so it was not started.',
    hint: 'Let the provider see docs/jobs.md: what the machine must allow, and the setting JOB_TRUST for own jobs.',
  },
  CLUSTER_UNAVAILABLE: {
    message: 'The cluster cannot start jobs at the moment.',
    hint: 'The details have the reason, such as a full disk. Jobs wait and are started again; they lose no attempt.',
  },
  JOB_INTERRUPTED: {
    message: 'The job was lost with its cluster, and no attempt is left.',
    hint: 'Submit it again.',
  },
  JOB_STOP_NOT_REQUESTED: {
    message: 'No one has asked the job to stop, so its cluster owes no answer.',
    hint: 'Wait until its rental ends, or let its renter stop it.',
  },
  JOB_LOST: {
    message: 'The cluster of the job is lost, as an operator has declared.',
    hint: 'See the message of the job for the reason, and submit it again.',
  },
  JOB_REPORT_INVALID: {
    message: 'The job has ended, but what its cluster reported about that cannot be stored.',
    hint: 'Read its log, and submit it again.',
  },
} as const
