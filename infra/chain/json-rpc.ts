import { parseJson } from '../system/json.ts'

/** JSON-RPC 2.0 as Ethereum nodes speak it: what is asked, what is answered, and which error is which. */

export type RpcError = Error & { readonly code: number; readonly data?: unknown }

export const errorCodes = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  internal: -32603,
  /** What geth answers when a call reverts; `data` is then what the contract returned. */
  reverted: 3,
} as const

export const rpcError = (code: number, message: string, data?: unknown): RpcError =>
  Object.assign(new Error(message), { code, ...(data === undefined ? {} : { data }) })

export type Handle = (method: string, params: readonly unknown[]) => Promise<unknown>

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const answerError = (id: unknown, { code, message, data }: { code: number; message: string; data?: unknown }) => ({
  jsonrpc: '2.0',
  id,
  error: { code, message, ...(data === undefined ? {} : { data }) },
})

/** Simulators wrap what a contract returned; wallets look for it bare. */
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

/** Answers the body of a request, single or batch; undefined when nothing is to be said (notifications only).
 *  A batch is handled in its order, one after the other. */
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
    const said = await answerOne(one, handle)
    if (said !== undefined) answers.push(said)
  }
  return answers.length > 0 ? answers : undefined
}
