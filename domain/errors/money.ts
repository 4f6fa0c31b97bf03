/** Refusals and failures: account and payment. */
export const moneyErrors = {
  INSUFFICIENT_FUNDS: {
    message: 'The available balance is lower than what must be held.',
    hint: 'The details have what is needed and what is available. Rent less, or deposit more: it counts once it is final.',
  },
  AMOUNT_INVALID: { message: 'The amount must be above zero.', hint: 'Give a positive amount.' },
  HOLD_ALREADY_EXISTS: { message: 'This hold already exists.', hint: 'Capture or release it.' },
  HOLD_UNKNOWN: { message: 'There is no such open hold.', hint: 'It was released or captured before, or never made.' },
  HOLD_EXCEEDED: {
    message: 'The capture is larger than what is left of the hold.',
    hint: 'Capture no more than the remainder.',
  },
  PAYMENT_UNKNOWN: { message: 'There is no such payment.', hint: 'Wait until the watcher has seen the transaction.' },
  PAYMENT_FINAL: { message: 'This payment is final and cannot change.', hint: 'There is nothing to do.' },
} as const
