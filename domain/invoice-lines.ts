import type { Event, InvoiceLine } from './rental.ts'

/** Collects the lines of the invoice of a rental. */
export type InvoiceLines = {
  /** Takes the next event of the rental, in the order of its stream. */
  readonly add: (event: Event, eventId: string) => void
  /** Returns the lines so far: one for each UTC day in which something was charged, in their order. */
  readonly lines: () => readonly InvoiceLine[]
}

type Line = InvoiceLine & { readonly day: string; readonly firstSecond: bigint; readonly lastSecond: bigint }

/** Creates the collector of the lines of one invoice. It holds the lines alone, so it takes any number of events. A
 *  period belongs to the day of its charge; one whose clock was behind, to the day of the period before it: so the
 *  periods of a line follow one another in the stream. */
export const collectInvoiceLines = (): InvoiceLines => {
  let gpuCount = 0
  let gpu = ''
  let charged = 0n
  const finished: Line[] = []
  let open: Line | undefined
  return {
    add: (event, eventId) => {
      if (event.type === 'RentalRequested') gpuCount = event.gpuCount
      if (event.type === 'RentalActivated') gpu = event.gpu
      if (event.type !== 'UsageMetered') return
      const day = event.meteredAt.slice(0, 10)
      const before = open && day <= open.day ? open : undefined
      if (open && !before) finished.push(open)
      const firstSecond = before?.firstSecond ?? charged + 1n
      const { amount, asset } = event.fee
      open = {
        day: before?.day ?? day,
        firstSecond,
        lastSecond: event.runSeconds,
        firstEventId: before?.firstEventId ?? eventId,
        lastEventId: eventId,
        periods: (before?.periods ?? 0) + 1,
        description: '',
        seconds: event.runSeconds - firstSecond + 1n,
        amount: { amount: (before?.amount.amount ?? 0n) + amount, asset },
      }
      charged = event.runSeconds
    },
    lines: () =>
      (open ? [...finished, open] : finished).map(({ day, firstSecond, lastSecond, ...line }) => ({
        ...line,
        description: `${gpuCount} × ${gpu} on ${day}, second ${firstSecond} to ${lastSecond}`,
      })),
  }
}
