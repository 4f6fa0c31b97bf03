// What of an event leaves the house. Which fields are personal stands in the schemas of the events (domain/catalogue.ts); here
// is what is done about it:
//   - what identifies (a wallet, a deposit that the chain shows beside its payer's wallet) becomes a pseudonym: the same one
//     wherever it stands, so joins still work, and without the key nobody can tell whose it is by trying out wallets;
//   - what a person or a program of theirs wrote (names, commands, files, messages) is left out.
// Pseudonymous is not anonymous: whoever looks at the chain can tell a deposit by its amount and its time.
import { createHmac } from 'node:crypto'
import { type AggregateName, aggregates, idOf } from '../../domain/aggregates.ts'
import { personalStreams, type StoredShape, shapeOf } from '../../domain/catalogue.ts'
import type { EventSchema } from '../../domain/events.ts'
import type { Json } from '../../infra/event-store/port.ts'

export type Privacy = {
  /** What is put in the place of a wallet or of the id of a deposit. */
  pseudonym(identity: string): string
  stream(stream: string): string
  actor(actor: string): string
  /** The fields of an event in its current version. */
  fields(type: string, data: Json): Json
}

/** Everything goes out as it is. */
export const openPrivacy: Privacy = {
  pseudonym: (identity) => identity,
  stream: (stream) => stream,
  actor: (actor) => actor,
  fields: (_, data) => data,
}

const pseudonymDigits = 24
/** The same few wallets come again and again. */
const rememberedMax = 10_000

/** @param key a secret of the installation: the same key gives the same pseudonyms in every export. */
export const createPrivacy = (key: string): Privacy => {
  const remembered = new Map<string, string>()
  const pseudonym = (identity: string): string => {
    const known = remembered.get(identity)
    if (known !== undefined) return known
    const digest = createHmac('sha256', key).update(identity.toLowerCase()).digest('hex')
    const made = `pseudonym-${digest.slice(0, pseudonymDigits)}`
    if (remembered.size >= rememberedMax) remembered.clear()
    remembered.set(identity, made)
    return made
  }
  const account = (name: string): string => accountWith(name, pseudonym)
  const replacements: Readonly<Record<string, (text: string) => string>> = {
    'wallet address, lower case': pseudonym,
    '32 bytes, 0x and hexadecimal': pseudonym,
    'account of the chart': account,
  }
  const keepersOf = (schemas: Readonly<Record<string, EventSchema<unknown>>>) =>
    Object.entries(schemas).map(([type, entry]) => [type, keeperOf(shapeOf(entry), replacements)] as const)
  const keepers = new Map(Object.values(aggregates).flatMap(({ schemas }) => keepersOf(schemas)))
  return {
    pseudonym,
    stream: (stream) => {
      const id = idOf(stream)
      const aggregate = stream.slice(0, -id.length - 1) as AggregateName
      return personalStreams.includes(aggregate) ? `${aggregate}-${pseudonym(id)}` : stream
    },
    actor: (actor) => (actor.startsWith('user:') ? `user:${pseudonym(actor.slice('user:'.length))}` : actor),
    fields: (type, data) => keepers.get(type)?.(data) ?? {},
  }
}

/** `user:<wallet>:available` keeps its ends; what is not known to be free of persons becomes a pseudonym as a whole. */
const accountWith = (name: string, pseudonym: (identity: string) => string): string => {
  const [kind, id = '', ...rest] = name.split(':')
  if (kind === 'user') return [kind, pseudonym(id), ...rest].join(':')
  if (kind === 'transit' && id === 'deposit') return [kind, id, pseudonym(rest.join(':'))].join(':')
  return kind === 'custody' || (kind === 'transit' && id === 'rental') ? name : pseudonym(name)
}

/** Gives what may leave of a value, undefined when nothing may. */
type Keeper = (value: Json) => Json | undefined

const everything: Keeper = (value) => value

/** Only what the shape names is kept: a field that nobody has described stays in the house. */
const keeperOf = (shape: StoredShape, replacements: Readonly<Record<string, (text: string) => string>>): Keeper => {
  if (shape.personal) {
    const replace = replacements[shape.unit ?? '']
    return (value) => (replace && typeof value === 'string' ? replace(value) : undefined)
  }
  if (shape.properties) {
    const fields = Object.entries(shape.properties).map(
      ([name, child]) => [name, keeperOf(child, replacements)] as const,
    )
    return (value) => {
      const given = value as Readonly<Record<string, Json>>
      const kept = fields.map(
        ([name, keep]) => [name, given[name] === undefined ? undefined : keep(given[name])] as const,
      )
      return Object.fromEntries(kept.filter((field): field is [string, Json] => field[1] !== undefined))
    }
  }
  if (shape.items) {
    const keep = keeperOf(shape.items, replacements)
    return (value) => (value as readonly Json[]).flatMap((item) => keep(item) ?? [])
  }
  return everything
}
