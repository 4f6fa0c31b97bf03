import { createRequire } from 'node:module'

/** The transport that the client itself uses: the copy of it, so that both sides speak of the same classes. */
const ofClient = createRequire(createRequire(import.meta.url).resolve('@eventstore/db-client'))
export const grpc = ofClient('@grpc/grpc-js') as typeof import('@grpc/grpc-js')

export type Metadata = import('@grpc/grpc-js').Metadata
export type ServerReadableStream<Request, Response> = import('@grpc/grpc-js').ServerReadableStream<Request, Response>
export type ServerWritableStream<Request, Response> = import('@grpc/grpc-js').ServerWritableStream<Request, Response>
export type Status = Partial<import('@grpc/grpc-js').StatusObject>

/** Returns an error as the server sends it: a status, and the details in the trailers. */
export const rpcError = (code: number, details: string, trailers: Readonly<Record<string, string>> = {}) => {
  const metadata = new grpc.Metadata()
  for (const [key, value] of Object.entries(trailers)) metadata.set(key, value)
  return Object.assign(new Error(details), { code, details, metadata })
}
