// Removes personal data from exported events. The schemas of the events declare which fields are personal
// (domain/catalogue.ts):
//   - identities (a wallet, a deposit that the chain shows beside its payer's wallet) become pseudonyms: one for each
//   identity
//     in all places, so joins still work. Without the key, an identity cannot be found by trying out wallets;
//   - texts of a person or of their program (names, commands, files, messages) are left out.
// Pseudonymous is not anonymous: on the chain a deposit can be recognised by its amount and its time.
import { createHmac } from 'node:crypto'
import { type AggregateName, aggregates, idOf } from '../../domain/aggregates.ts'
import { personalStreams, type StoredShape, shapeOf } from '../../domain/catalogue.ts'
import type { EventSchema } from '../../domain/events.ts'
import type { Json } from '../../infra/event-store/port.ts'

export type Privacy = {
  /** Returns the replacement of a wallet or of the id of a deposit. */
  pseudonym(identity: string): string
  stream(stream: string): string
  actor(actor: string): string
  /** Returns the exportable fields of an event in its current version. */
  fields(type: string, data: Json): Json
}

/** Exports everything unchanged. */
export const openPrivacy: Privacy = {
  pseudonym: (identity) => identity,
  stream: (stream) => stream,
  actor: (actor) => actor,
  fields: (_, data) => data,
}

const pseudonymDigits = 24
/** A cache, because the same few wallets come again and again. */
const pseudonymsCachedMax = 10_000

/** Makes the privacy of an export.
 *  @param key a secret of the installation: the same key gives the same pseudonyms in every export. */
export const createPrivacy = (key: string): Privacy => {
  const cached = new Map<string, string>()
  const pseudonym = (identity: string): string => {
    const known = cached.get(identity)
    if (known !== undefined) return known
    const digest = createHmac('sha256', key).update(identity.toLowerCase()).digest('hex')
    const made = `pseudonym-${digest.slice(0, pseudonymDigits)}`
    if (cached.size >= pseudonymsCachedMax) cached.clear()
    cached.set(identity, made)
    return made
  }
  const account = (name: string): string => accountWith(name, pseudonym)
  const replacements: Readonly<Record<string, (text: string) => string>> = {
    'wallet address, lower case': pseudonym,
    '32 bytes, 0x and hexadecimal': pseudonym,
    'account of the chart': account,
  }
  const redactorsOf = (schemas: Readonly<Record<string, EventSchema<unknown>>>) =>
    Object.entries(schemas).map(([type, entry]) => [type, redactorOf(shapeOf(entry), replacements)] as const)
  const redactors = new Map(Object.values(aggregates).flatMap(({ schemas }) => redactorsOf(schemas)))
  return {
    pseudonym,
    stream: (stream) => {
      const id = idOf(stream)
      const aggregate = stream.slice(0, -id.length - 1) as AggregateName
      return personalStreams.includes(aggregate) ? `${aggregate}-${pseudonym(id)}` : stream
    },
    actor: (actor) => (actor.startsWith('user:') ? `user:${pseudonym(actor.slice('user:'.length))}` : actor),
    fields: (type, data) => redactors.get(type)?.(data) ?? {},
  }
}

/** Replaces the identity in the name of an account: `user:<wallet>:available` keeps its ends. A name of an unknown form
 *  becomes a pseudonym as a whole. */
const accountWith = (name: string, pseudonym: (identity: string) => string): string => {
  const [kind, id = '', ...rest] = name.split(':')
  if (kind === 'user') return [kind, pseudonym(id), ...rest].join(':')
  if (kind === 'transit' && id === 'deposit') return [kind, id, pseudonym(rest.join(':'))].join(':')
  return kind === 'custody' || (kind === 'transit' && id === 'rental') ? name : pseudonym(name)
}

/** Returns the exportable part of a value, or undefined when there is none. */
type Redactor = (value: Json) => Json | undefined

const everything: Redactor = (value) => value

/** Makes the redactor of a shape. It exports only the fields that the shape names. */
const redactorOf = (shape: StoredShape, replacements: Readonly<Record<string, (text: string) => string>>): Redactor => {
  if (shape.personal) {
    const replace = replacements[shape.unit ?? '']
    return (value) => (replace && typeof value === 'string' ? replace(value) : undefined)
  }
  if (shape.properties) {
    const fields = Object.entries(shape.properties).map(
      ([name, child]) => [name, redactorOf(child, replacements)] as const,
    )
    return (value) => {
      const given = value as Readonly<Record<string, Json>>
      const exported = fields.map(
        ([name, redact]) => [name, given[name] === undefined ? undefined : redact(given[name])] as const,
      )
      return Object.fromEntries(exported.filter((field): field is [string, Json] => field[1] !== undefined))
    }
  }
  if (shape.items) {
    const redact = redactorOf(shape.items, replacements)
    return (value) => (value as readonly Json[]).flatMap((item) => redact(item) ?? [])
  }
  return everything
}
