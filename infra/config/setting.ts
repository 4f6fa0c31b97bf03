import { z } from 'zod'

/** `takes`, `example` and `unset` (the default) are texts for operators; `secret` hides the value in messages. */
export type Setting = { takes: string; example: string; unset: string; description: string; secret?: boolean }

/** Returns the schema of a whole number within bounds. */
export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max))
/** Returns the schema of an address with one of these schemes. */
export const urlOf = (...schemes: string[]) =>
  z.string().refine((text) => URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1)))
/** An address on an EVM chain. */
export const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text) => text as `0x${string}`)
/** Addresses with commas between them; each counts once. */
export const addressList = z
  .string()
  .transform((text) => [...new Set(text.split(',').map((wallet) => wallet.trim().toLowerCase()))])
  .pipe(z.array(address))
const originsMax = 100
/** Origins as browsers send them, with commas between them; each counts once. */
export const originList = z
  .string()
  .transform((text) => [...new Set(text.split(',').map((origin) => origin.trim()))])
  .pipe(z.array(z.string().regex(/^[a-z][a-z0-9+.-]{0,40}:\/\/[^\s/?#]{1,255}$/)).max(originsMax))
/** Returns the schema of an optional variable with its texts. */
export const setting = <Schema extends z.ZodType>(schema: Schema, about: Setting) => schema.optional().meta(about)
