import './scalars.ts'
import './rentals.ts'
import './listings.ts'
import './offers.ts'
import './jobs.ts'
import './accounts.ts'
import './payments.ts'
import './invoices.ts'
import './money-trace.ts'
import './money-uses.ts'
import './providers.ts'
import './sign-in.ts'
import './chain.ts'
import './events.ts'
import './projections.ts'
import './parked-tasks.ts'
import './lost-jobs.ts'
import { printSchema } from 'graphql'
import { countAnswers } from './answer-size.ts'
import { builder } from './builder.ts'
import { limitInputs } from './input-limits.ts'

/** The schema of all files imported above. Each adds its types and fields to the builder when it is imported, so the
 *  order of the imports is the order in the schema. */
export const schema = countAnswers(limitInputs(builder.toSchema({ sortSchema: false })))

/** Returns the schema as text, as it stands in gateway/schema.graphql. */
export const printedSchema = (): string => `${printSchema(schema)}\n`
