import { parseJson } from '../system/json.ts'

/** JSON-RPC 2.0 in the dialect of Ethereum nodes: requests, answers and error codes. */

export type RpcError = Error & { readonly code: number; readonly data?: unknown }

/** The error codes of JSON-RPC, and that of a call that reverts. */
export const errorCodes = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  internal: -32603,
  /** As in geth, when a call reverts; `data` is then what the contract returned. */
  reverted: 3,
} as const

/** Makes an error that is answered with this code, message and data. */
export const rpcError = (code: number, message: string, data?: unknown): RpcError =>
  Object.assign(new Error(message), { code, ...(data === undefined ? {} : { data }) })

/** Runs one method. Throws an RpcError to answer with its code. */
export type Handle = (method: string, params: readonly unknown[]) => Promise<unknown>

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const answerError = (id: unknown, { code, message, data }: { code: number; message: string; data?: unknown }) => ({
  jsonrpc: '2.0',
  id,
  error: { code, message, ...(data === undefined ? {} : { data }) },
})

/** Unwraps what a contract returned: simulators wrap it, and wallets expect it bare. */
const describe = (error: unknown) => {
  if (!(error instanceof Error)) return { code: errorCodes.internal, message: String(error) }
  const { code, data } = error as Partial<RpcError>
  const returned = isRecord(data) && typeof data.data === 'string' ? data.data : data
  return {
    code: typeof code === 'number' ? code : errorCodes.internal,
    message: error.message,
    data: typeof returned === 'string' ? returned : undefined,
  }
}

const answerOne = async (request: unknown, handle: Handle): Promise<object | undefined> => {
  if (!isRecord(request) || typeof request.method !== 'string')
    return answerError(null, { code: errorCodes.invalidRequest, message: 'This is no JSON-RPC request' })
  const { id, method, params = [] } = request
  try {
    if (!Array.isArray(params)) throw rpcError(errorCodes.invalidRequest, 'params must be an array')
    const result = await handle(method, params)
    return id === undefined ? undefined : { jsonrpc: '2.0', id, result }
  } catch (error) {
    return id === undefined ? undefined : answerError(id, describe(error))
  }
}

/** Answers the body of a request, single or batch. Resolves to undefined when there are only notifications, which get
 *  no answer. Handles a batch in its order, one request after the other. */
export const answer = async (
  body: string,
  handle: Handle,
  { batchRequestsMax }: { batchRequestsMax: number },
): Promise<object | undefined> => {
  const refuse = (code: number, message: string) => answerError(null, { code, message })
  const request = parseJson(body)
  if (request === undefined) return refuse(errorCodes.parse, 'This is not JSON')
  if (!Array.isArray(request)) return answerOne(request, handle)
  if (request.length === 0) return refuse(errorCodes.invalidRequest, 'The batch is empty')
  if (request.length > batchRequestsMax)
    return refuse(errorCodes.invalidRequest, `A batch holds at most ${batchRequestsMax} requests`)
  const answers = []
  for (const one of request) {
    const answered = await answerOne(one, handle)
    if (answered !== undefined) answers.push(answered)
  }
  return answers.length > 0 ? answers : undefined
}
