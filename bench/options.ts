import { Failure } from '../domain/errors.ts'
import { readArguments } from '../infra/system/arguments.ts'

export type Options = {
  readonly names: readonly string[]
  readonly rounds: number
  /** Replaces the bench's own number of events. */
  readonly events: number | undefined
  readonly json: boolean
  /** Tiny sizes, one round, no peer, any server: whether all still runs. The figures mean nothing. */
  readonly quick: boolean
  readonly peer: boolean
  readonly help: boolean
  /** A file with the nodes of an EventStoreDB that the benches may start. */
  readonly eventstore: string | undefined
}

const roundsDefault = 5

const flags = {
  rounds: { type: 'string' },
  events: { type: 'string' },
  json: { type: 'boolean', default: false },
  quick: { type: 'boolean', default: false },
  'without-peer': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
  eventstore: { type: 'string' },
} as const

const wholeNumber = (name: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new Failure('INPUT_INVALID', { [name]: text, takes: 'a whole number above zero' })
  return Number(text)
}

/** Reads the command line. `known` are the existing benches. Throws INPUT_INVALID. */
export const readOptions = (args: readonly string[], known: readonly string[]): Options => {
  const { values, positionals } = readArguments(flags, args)
  const unknown = positionals.find((name) => name !== 'all' && !known.includes(name))
  if (unknown !== undefined)
    throw new Failure('INPUT_INVALID', { bench: unknown, takes: `${known.join(', ')}, or all` })
  return {
    names: positionals.includes('all') ? known : known.filter((name) => positionals.includes(name)),
    rounds: wholeNumber('rounds', values.rounds) ?? (values.quick ? 1 : roundsDefault),
    events: wholeNumber('events', values.events),
    json: values.json,
    quick: values.quick,
    peer: !values.quick && !values['without-peer'],
    help: values.help,
    eventstore: values.eventstore,
  }
}
