import { Failure } from '../../domain/errors.ts'

const bearer = /^Bearer\s+(\S+)$/i

/** Returns the token of an Authorization header; undefined without a header. Throws TOKEN_INVALID for any other
 *  scheme. */
export const tokenOfHeader = (header: string | null | undefined): string | undefined => {
  if (header === null || header === undefined || header === '') return undefined
  const token = bearer.exec(header)?.[1]
  if (token === undefined) throw new Failure('TOKEN_INVALID', { header: 'takes "Bearer …"' })
  return token
}

const tokenFields = ['authorization', 'Authorization', 'token'] as const

/** Returns the fields of what a WebSocket client sends with connection_init in which its token may be, and nothing
 *  else. A field that holds no text is kept as one that holds no text. */
export const tokenFieldsOf = (parameters: unknown): Readonly<Record<string, string | null>> => {
  if (typeof parameters !== 'object' || parameters === null) return {}
  return Object.fromEntries(
    tokenFields.flatMap((name) => {
      const value: unknown = Object.hasOwn(parameters, name) ? Reflect.get(parameters, name) : undefined
      return value === undefined ? [] : [[name, typeof value === 'string' ? value : null]]
    }),
  )
}

/** Returns the token that a WebSocket client sends with connection_init, as `authorization` ("Bearer …") or `token`;
 *  undefined without either. Throws TOKEN_INVALID. */
export const tokenOfConnection = (parameters: Readonly<Record<string, unknown>> | undefined): string | undefined => {
  const header = parameters?.authorization ?? parameters?.Authorization
  if (typeof header === 'string') return tokenOfHeader(header)
  const token = parameters?.token
  if (typeof token === 'string') return token
  if (header !== undefined || token !== undefined) throw new Failure('TOKEN_INVALID', { token: 'takes text' })
  return undefined
}
