// Names of processes that are data: they are hashed into command ids, stored as consumers and timers in the database,
// and stored as actors. A saga, a step or a consumer under another name would do its work a second time: pay a deposit
// twice, credit earnings twice. Files and functions may be renamed, these may not; testing/golden/names.spec.ts pins
// them.

/** Sagas, and after each its steps. */
export const sagaNames = { rentAGpu: 'rent-a-gpu', settle: 'settle', creditDeposit: 'credit-deposit' } as const
export const rentSteps = { reserve: 'reserve', hold: 'hold', activate: 'activate' } as const
export const settleSteps = {
  capture: 'capture',
  payProvider: 'pay provider',
  free: 'free',
  invoice: 'invoice',
} as const
export const creditSteps = { credit: 'credit' } as const

/** The step that records a refusal. */
export const rejectionStep = 'reject'
/** Returns the name of the step that compensates another step. */
export const compensationStep = (step: string): string => `undo ${step}`

/** What starts at RentalActivated besides the sagas, and is retried under this name. */
export const timersHandler = 'set timers'

/** What starts when a job has ended, and when the end of a rental was requested while jobs run. */
export const closeJobHandler = 'close job'
export const completeEndHandler = 'complete end'

/** Consumers of the bus: each keeps its own position. */
export const consumers = { processes: 'processes', scheduler: 'scheduler' } as const

/** Keys of timers: setting one again replaces the earlier one. */
export const timerKeys = {
  meter: (rental: string) => `meter:${rental}`,
  expire: (rental: string) => `expire:${rental}`,
  walk: (handler: string, id: string, revision: bigint) => `walk:${handler}:${id}:${revision}`,
}
