import { z } from 'zod'
import { compileDecoder, unsure } from './decoder/compile.ts'

/** Returns a function that decodes the stored fields of one event type: `{ type, ...z.decode(schema, fields) }`,
 *  which throws z.ZodError for fields that do not match the schema.  Reading the log is mostly decoding, so the
 *  usual case is compiled from the schema: it collects no issues and reads each field once. An event of the golden
 *  log takes 2.4 µs, and 7.6 µs with zod alone: 3.2 times as long (medians of 21 interleaved rounds of 100,000
 *  events on 2 vCPUs, Node 24.21, zod 4.6.7; `npx node domain/decoder-speed.testing.ts` measures it again). A value
 *  that the compiled decoder is unsure of is decoded by the schema itself. */
export const eventDecoderOf = (type: string, schema: z.ZodType): ((fields: unknown) => object) => {
  const compiled = compileDecoder(schema, type)
  return (fields) => {
    const event = compiled(fields)
    return event === unsure ? { type, ...(z.decode(schema, fields) as object) } : (event as object)
  }
}
