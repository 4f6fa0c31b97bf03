import { eventSchemas } from '../../domain/aggregates.ts'
import { shapeOf } from '../../domain/catalogue.ts'
import { Failure } from '../../domain/errors.ts'
import { encodeEvent } from '../../domain/events.ts'
import type { Json, StoredEvent } from '../../infra/event-store/port.ts'
import { decodeStored } from '../../projections/engine/projection.ts'

/** By event type, the fields with free text of users or their programs: those that are personal and have no unit. Free
 *  text may hold secrets. A wallet is personal too, but has a unit and is shown: it is a pseudonym, and history means
 *  little without it. */
const freeTextFields = new Map(
  Object.entries(eventSchemas).map(([type, schema]) => [
    type,
    Object.entries(shapeOf(schema).properties ?? {}).flatMap(([name, { personal, unit }]) =>
      personal && unit === undefined ? [name] : [],
    ),
  ]),
)

/** The fields of an event that an analyst may read, and the names of the others. */
export type RedactedData = { readonly data: Json; readonly withheld: readonly string[] }

/** Returns the data of an event without free text, in the current version of its type. `withheld` names the fields that
 *  were left out. Leaves out all fields of an event that cannot be decoded, because any of them may hold free text. */
export const redactFreeText = (stored: StoredEvent): RedactedData => {
  const secret = freeTextFields.get(stored.type)
  if (secret?.length === 0) return { data: stored.data, withheld: secret }
  try {
    const fields = Object.entries(encodeEvent(eventSchemas, decodeStored(stored).event).data as Record<string, Json>)
    const names = secret ?? []
    return {
      data: Object.fromEntries(fields.filter(([name]) => !names.includes(name))),
      withheld: names.filter((name) => fields.some(([field]) => field === name)),
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { data: {}, withheld: Object.keys(stored.data ?? {}) }
  }
}
