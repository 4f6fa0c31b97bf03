import { createRequire } from 'node:module'

/** The transport that the client itself uses: the copy of it, so that both sides speak of the same classes. */
const ofClient = createRequire(createRequire(import.meta.url).resolve('@eventstore/db-client'))
export const grpc = ofClient('@grpc/grpc-js') as typeof import('@grpc/grpc-js')

/** A message of any type, packed with the name of its type. */
export const { Any } = ofClient('google-protobuf/google/protobuf/any_pb.js') as {
  readonly Any: new () => { pack(message: Uint8Array, type: string): void }
}

export const { Empty } = ofClient('google-protobuf/google/protobuf/empty_pb.js') as {
  readonly Empty: new () => { serializeBinary(): Uint8Array }
}
export const { BinaryWriter } = ofClient('google-protobuf') as {
  readonly BinaryWriter: new () => {
    writeString(field: number, text: string): void
    writeUint32(field: number, value: number): void
    getResultBuffer(): Uint8Array
  }
}

export type Metadata = import('@grpc/grpc-js').Metadata
export type ServerDuplexStream<Request, Response> = import('@grpc/grpc-js').ServerDuplexStream<Request, Response>
export type ServerReadableStream<Request, Response> = import('@grpc/grpc-js').ServerReadableStream<Request, Response>
export type ServerWritableStream<Request, Response> = import('@grpc/grpc-js').ServerWritableStream<Request, Response>
export type Status = Partial<import('@grpc/grpc-js').StatusObject>

/** Returns an error as the server sends it: a status, and the details in the trailers. */
export const rpcError = (code: number, details: string, trailers: Readonly<Record<string, string>> = {}) => {
  const metadata = new grpc.Metadata()
  for (const [key, value] of Object.entries(trailers)) metadata.set(key, value)
  return Object.assign(new Error(details), { code, details, metadata })
}
