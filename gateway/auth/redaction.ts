import { aggregates } from '../../domain/aggregates.ts'
import { shapeOf } from '../../domain/catalogue.ts'
import { Failure } from '../../domain/errors.ts'
import { type EventSchema, encodeEvent } from '../../domain/events.ts'
import type { Json, StoredEvent } from '../../infra/event-store/port.ts'
import { decodeStored } from '../../projections/engine/projection.ts'

const schemas: Readonly<Record<string, EventSchema<unknown>>> = Object.assign(
  {},
  ...Object.values(aggregates).map((aggregate) => aggregate.schemas),
)

/** By type, the fields that hold what people or their programs wrote: personal, and of no unit, as a wallet would have. They may
 *  hold secrets; a wallet is a pseudonym without which history cannot be told. */
const freeTextFields = new Map(
  Object.entries(schemas).map(([type, schema]) => [
    type,
    Object.entries(shapeOf(schema).properties ?? {}).flatMap(([name, { personal, unit }]) =>
      personal && unit === undefined ? [name] : [],
    ),
  ]),
)

export type RedactedData = { readonly data: Json; readonly withheld: readonly string[] }

/** What an event carries without what people wrote into it, in the current version of its type; nothing at all when it cannot be
 *  read, for then nobody knows what it holds. `withheld` names what was left out. */
export const redactFreeText = (stored: StoredEvent): RedactedData => {
  const withheld = freeTextFields.get(stored.type)
  if (withheld?.length === 0) return { data: stored.data, withheld }
  try {
    const fields = Object.entries(encodeEvent(schemas, decodeStored(stored).event).data as Record<string, Json>)
    const names = withheld ?? []
    return {
      data: Object.fromEntries(fields.filter(([name]) => !names.includes(name))),
      withheld: names.filter((name) => fields.some(([field]) => field === name)),
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { data: {}, withheld: Object.keys(stored.data ?? {}) }
  }
}
