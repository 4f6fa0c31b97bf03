/** Refusals and failures: rental. */
export const rentalErrors = {
  RENTAL_UNKNOWN: { message: 'There is no such rental.', hint: 'Check the id.' },
  RENTAL_ALREADY_REQUESTED: {
    message: 'This rental was already requested.',
    hint: 'Read it instead of requesting it again.',
  },
  RENTAL_INVALID: {
    message: 'A rental needs at least one GPU, one second and a maximum price above zero.',
    hint: 'See the details for the field.',
  },
  RENTAL_NOT_REQUESTED: {
    message: 'The rental is not waiting to be activated or rejected.',
    hint: 'It was already activated or rejected, or never requested.',
  },
  RENTAL_NOT_ACTIVE: { message: 'The rental is not active.', hint: 'Rent a GPU first, or look at its status.' },
  RENTAL_NOT_ENDING: {
    message: 'The end of the rental was not requested, or the rental has ended already.',
    hint: 'Look at its status.',
  },
  RENTAL_JOBS_OPEN: {
    message: 'The rental cannot end before its last job has ended.',
    hint: 'Its jobs are being stopped; follow it with rentalUpdated.',
  },
  RENTAL_JOBS_FULL: {
    message: 'The rental has as many open jobs as one may have.',
    hint: 'Wait until one of them has ended.',
  },
  RENTAL_NOT_ENDED: { message: 'The rental has not ended, or is already settled.', hint: 'End it first.' },
  RENTAL_SETTLEMENT_UNBALANCED: {
    message: 'The invoice lines do not add up to what was charged.',
    hint: 'This is a defect; nothing was settled.',
  },
  DEADLINE_PASSED: { message: 'The step was taken after its deadline.', hint: 'Send a new request.' },
} as const
