// A marketplace in memory for invariants.spec.ts: the folded state of each stream, the chart of accounts, and a check
// of every invariant after every event.

import * as account from './account.ts'
import { type Aggregate, aggregates, type DomainEvent } from './aggregates.ts'
import { isRefusal } from './errors.ts'
import { chart } from './ledger.ts'
import * as listing from './listing.ts'
import { type Asset, assets, type Money, money } from './money.ts'
import type * as payment from './payment.ts'
import { valueIn } from './persistent-map.ts'
import type * as rental from './rental.ts'

/** Throws the sentence as an error unless `holds` is true. */
export const must = (holds: boolean, sentence: string): void => {
  if (!holds) throw new Error(sentence)
}

/** Creates an empty marketplace. `to` sends a command. Sending throws as soon as an invariant is broken. */
export const createWorld = () => {
  const states = {
    account: new Map<string, account.State>(),
    listing: new Map<string, listing.State>(),
    payment: new Map<string, payment.State>(),
    rental: new Map<string, rental.State>(),
  }
  const log: { id: string; event: DomainEvent }[] = []
  const chartFigures = new Map<string, Map<Asset, bigint>>()
  const answered = new Set<string>()

  const figure = (name: string, asset: Asset) => chartFigures.get(name)?.get(asset) ?? 0n
  const move = (name: string, { amount, asset }: Money) =>
    chartFigures.set(name, new Map(chartFigures.get(name)).set(asset, figure(name, asset) + amount))
  const accountOf = (user: string) => states.account.get(user) ?? account.initial
  const openHold = (id: string) =>
    [...states.account.values()].flatMap((state) => (state.status === 'open' ? (valueIn(state.holds, id) ?? []) : []))
  const eventsOf = (id: string) => log.flatMap(({ event }) => ('rental' in event && event.rental === id ? [event] : []))

  const checkListings = () => {
    for (const [id, offer] of states.listing) {
      if (offer.status === 'none') continue
      const active = [...states.rental].filter(([, lease]) => lease.status === 'active' && lease.listing === id)
      const used = active.reduce((sum, [, lease]) => sum + ('gpuCount' in lease ? lease.gpuCount : 0), 0)
      const free = listing.freeGpus(offer)
      must(used <= offer.gpuCount && free >= 0 && free <= offer.gpuCount - used, `${id} is over-rented`)
    }
  }
  const checkMoney = () => {
    for (const asset of assets) {
      const figures = [...chartFigures].map(([name]) => [name, figure(name, asset)] as const)
      must(figures.reduce((sum, [, amount]) => sum + amount, 0n) === 0n, `the chart is out of balance in ${asset}`)
      const overdrawn = figures.find(([name, amount]) => name.startsWith('transit:') && amount > 0n)
      must(!overdrawn, `${overdrawn?.[0]} paid out more than was paid in`)
      for (const user of states.account.keys()) {
        const { available, held } = account.balanceOf(accountOf(user), asset)
        must(available >= 0n && held >= 0n, `a balance of ${user} is negative`)
        // Users are creditors: their money is on the credit side, which lowers the figure.
        must(
          figure(chart.available(user), asset) === -available,
          `chart and account differ on the available money of ${user}`,
        )
        must(figure(chart.held(user), asset) === -held, `chart and account differ on the held money of ${user}`)
      }
    }
  }
  const checkRental = (id: string) => {
    const events = eventsOf(id)
    const sum = (type: 'FundsHeld' | 'HoldCaptured' | 'HoldReleased') =>
      events.reduce((total, event) => total + (event.type === type ? event.posting.amount.amount : 0n), 0n)
    const open = openHold(id).reduce((total, { amount }) => total + amount, 0n)
    must(sum('HoldCaptured') + sum('HoldReleased') + open === sum('FundsHeld'), `the hold of ${id} does not add up`)
    const lease = states.rental.get(id)
    if (!lease || !('charged' in lease)) return
    const owed = (lease.pricePerGpuHour.amount * BigInt(lease.gpuCount) * lease.runSeconds) / 3600n
    must(lease.charged.amount === owed, `${id} is charged ${lease.charged.amount}, not ${owed}`)
    must(owed <= sum('FundsHeld'), `${id} is charged more than was held`)
  }

  /** Returns the number of new events: 0 for a refusal, and for a command id that was answered before. */
  const send = <Command extends { readonly type: string }, Event extends DomainEvent, State>(
    { initial, decide, evolve }: Aggregate<Command, Event, State>,
    streams: Map<string, State>,
    id: string,
    command: Command,
    commandId?: string,
  ): number => {
    if (commandId && answered.has(commandId)) return 0
    const answer = decide(command, streams.get(id) ?? initial)
    if (isRefusal(answer)) return 0
    if (commandId) answered.add(commandId)
    for (const event of answer) {
      streams.set(id, evolve(streams.get(id) ?? initial, event))
      log.push({ id, event })
      if ('posting' in event) {
        const { debit, credit, amount } = event.posting
        must(amount.amount > 0n && debit !== credit, `${event.type} moves nothing`)
        move(debit, amount)
        move(credit, money(-amount.amount, amount.asset))
      }
      checkListings()
      checkMoney()
      for (const each of states.rental.keys()) checkRental(each)
    }
    return answer.length
  }
  const to = {
    account: (id: string, command: account.Command, commandId?: string) =>
      send(aggregates.account, states.account, id, command, commandId),
    listing: (id: string, command: listing.Command, commandId?: string) =>
      send(aggregates.listing, states.listing, id, command, commandId),
    payment: (id: string, command: payment.Command) => send(aggregates.payment, states.payment, id, command),
    rental: (id: string, command: rental.Command, commandId?: string) =>
      send(aggregates.rental, states.rental, id, command, commandId),
  }
  return { states, log, chartFigures, accountOf, openHold, eventsOf, to }
}

export type World = ReturnType<typeof createWorld>
