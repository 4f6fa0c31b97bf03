import { parseJson } from '../system/json.ts'

/** JSON-RPC 2.0 in the dialect of Ethereum nodes: requests, answers and error codes. */

export type RpcError = Error & { readonly code: number; readonly data?: unknown }

/** The error codes of JSON-RPC, and that of a call that reverts. */
export const errorCodes = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  /** As in EIP-1474. */
  limitExceeded: -32005,
  /** As in geth, when a call reverts; `data` is then what the contract returned. */
  reverted: 3,
} as const

/** Makes an error that is answered with this code, message and data. */
export const rpcError = (code: number, message: string, data?: unknown): RpcError =>
  Object.assign(new Error(message), { code, ...(data === undefined ? {} : { data }) })

/** Who asks: `owner` has shown the secret of the server, `guest` is every other client. */
export type Caller = 'owner' | 'guest'

/** Runs one method. Throws an RpcError to answer with its code. */
export type Handle = (method: string, params: readonly unknown[], caller: Caller) => Promise<unknown>

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

export type AnswerBounds = {
  readonly batchRequestsMax: number
  /** All answers of a body together; what would be beyond is answered with an error. */
  readonly answerBytesMax: number
}

/** Resolves to the answer of one request as JSON; undefined for a notification. */
const answerOne = async (
  request: unknown,
  handle: Handle,
  caller: Caller,
  bytesMax: number,
): Promise<string | undefined> => {
  if (!isRecord(request) || typeof request.method !== 'string')
    return JSON.stringify(
      answerError(null, { code: errorCodes.invalidRequest, message: 'This is no JSON-RPC request' }),
    )
  const { id, method, params = [] } = request
  try {
    if (!Array.isArray(params)) throw rpcError(errorCodes.invalidRequest, 'params must be an array')
    const result = await handle(method, params, caller)
    if (id === undefined) return undefined
    const text = JSON.stringify({ jsonrpc: '2.0', id, result })
    if (text.length > bytesMax) throw rpcError(errorCodes.limitExceeded, 'The answer is too large')
    return text
  } catch (error) {
    return id === undefined ? undefined : JSON.stringify(answerError(id, describe(error)))
  }
}

/** Resolves to the answer of a body as JSON, single or batch; undefined when there are only notifications, which get
 *  no answer. Handles a batch in its order, one request after the other. */
export const answer = async (
  body: string,
  handle: Handle,
  { batchRequestsMax, answerBytesMax, caller = 'guest' }: AnswerBounds & { readonly caller?: Caller },
): Promise<string | undefined> => {
  const refuse = (code: number, message: string) => JSON.stringify(answerError(null, { code, message }))
  const request = parseJson(body)
  if (request === undefined) return refuse(errorCodes.parse, 'This is not JSON')
  if (!Array.isArray(request)) return answerOne(request, handle, caller, answerBytesMax)
  if (request.length === 0) return refuse(errorCodes.invalidRequest, 'The batch is empty')
  if (request.length > batchRequestsMax)
    return refuse(errorCodes.invalidRequest, `A batch holds at most ${batchRequestsMax} requests`)
  const answers: string[] = []
  let bytesLeft = answerBytesMax
  for (const one of request) {
    const answered = await answerOne(one, handle, caller, bytesLeft)
    if (answered === undefined) continue
    answers.push(answered)
    bytesLeft = Math.max(0, bytesLeft - answered.length)
  }
  return answers.length > 0 ? `[${answers.join(',')}]` : undefined
}
