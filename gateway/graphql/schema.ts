import './scalars.ts'
import './rentals.ts'
import './listings.ts'
import './offers.ts'
import './jobs.ts'
import './accounts.ts'
import './payments.ts'
import './invoices.ts'
import './money-trace.ts'
import './providers.ts'
import './sign-in.ts'
import './chain.ts'
import './events.ts'
import './projections.ts'
import { printSchema } from 'graphql'
import { builder } from './builder.ts'

/** Each family has put its types and fields into the builder when it was imported; their order is the schema's. */
export const schema = builder.toSchema({ sortSchema: false })

/** As gateway/schema.graphql holds it. */
export const printedSchema = (): string => `${printSchema(schema)}\n`
