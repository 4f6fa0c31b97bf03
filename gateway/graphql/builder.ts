import SchemaBuilder from '@pothos/core'
import RelayPlugin from '@pothos/plugin-relay'
import type { Json } from '../../infra/event-store/port.ts'
import type { Context } from './context.ts'

/** Builds the schema from code; gateway/schema.graphql is its printed form. A field is never null unless it is declared nullable. */
export const builder = new SchemaBuilder<{
  Context: Context
  DefaultFieldNullability: false
  DefaultEdgesNullability: { list: false; items: false }
  DefaultNodeNullability: false
  Scalars: {
    ID: { Input: string; Output: string }
    DateTime: { Input: string; Output: string }
    JSON: { Input: never; Output: Json }
    Position: { Input: string; Output: string }
    SafeInt: { Input: number; Output: number }
  }
}>({
  plugins: [RelayPlugin],
  defaultFieldNullability: false,
  relay: {
    // Ids are not encoded: a listing has the same id here as in the log.
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    cursorType: 'String',
    edgesFieldOptions: { nullable: { list: false, items: false } },
    nodeFieldOptions: { nullable: false },
    nodesOnConnection: true,
  },
})

/** The GraphQL type of objects of one shape, as the builder declares it. */
export type ObjectType<Value extends object> = ReturnType<typeof builder.objectRef<Value>>

builder.queryType()
builder.mutationType()
builder.subscriptionType()
