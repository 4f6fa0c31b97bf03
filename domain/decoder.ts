import { z } from 'zod'
import { compileDecoder, unsure } from './decoder/compile.ts'

/** Returns a function that decodes the stored fields of one event type: `{ type, ...z.decode(schema, fields) }`, which
 *  throws z.ZodError for fields that do not match the schema.
 *
 *  Every read of the log decodes events, so the usual case is compiled from the schema: the compiled decoder collects
 *  no issues and reads each field once. An event of the golden log takes 1.6 µs, and 5.1 µs with zod alone: about 3
 *  times as long (medians of 21 interleaved rounds of 100,000 events on 2 vCPUs, Node 24.21, zod 4.6.7;
 *  `npx node domain/decoder-speed.testing.ts` measures it again).
 *  The schema itself decodes each value that the compiled decoder is unsure of. */
export const eventDecoderOf = (type: string, schema: z.ZodType): ((fields: unknown) => object) => {
  const compiled = compileDecoder(schema, type)
  return (fields) => {
    const event = compiled(fields)
    return event === unsure ? { type, ...(z.decode(schema, fields) as object) } : (event as object)
  }
}
