import {
  defaultFieldResolver,
  type ExecutionResult,
  type GraphQLFieldResolver,
  type GraphQLSchema,
  getNamedType,
  isLeafType,
  isObjectType,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { Failure } from '../../domain/errors.ts'
import { limits } from './limits.ts'
import { graphQLErrorOf } from './mask.ts'

/** How many errors one answer has at most. */
export const errorsMax = 20
/** The quotes, the colon and the comma of a field. */
const punctuationBytes = 4
const numberBytes = 20

/** The bytes of the answer to one operation so far, or to one event of a subscription. */
type AnswerSize = { bytes: number }
type Context = { readonly answer: AnswerSize }

const [firstPrintable, quote, backslash, firstSurrogate, firstLowSurrogate, afterSurrogates] = [
  0x20, 0x22, 0x5c, 0xd800, 0xdc00, 0xe000,
]
/** Backspace, tab, line feed, form feed and return. Other control characters are written with six characters. */
const shortEscapes: readonly number[] = [8, 9, 10, 12, 13]

/** Returns how many bytes a text takes as JSON, without writing it: that takes a hundred times as long. */
export const jsonTextBytes = (text: string): number => {
  let bytes = Buffer.byteLength(text) + 2
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === quote || code === backslash) bytes += 1
    else if (code < firstPrintable) bytes += shortEscapes.includes(code) ? 1 : 5
    else if (code >= firstSurrogate && code < afterSurrogates) {
      const next = text.charCodeAt(at + 1)
      // One of a pair is written as it is, one alone with six characters instead of three bytes.
      if (code < firstLowSurrogate && next >= firstLowSurrogate && next < afterSurrogates) at += 1
      else bytes += 3
    }
  }
  return bytes
}

const jsonBytes = (value: unknown): number => {
  if (typeof value === 'string') return jsonTextBytes(value)
  if (typeof value !== 'object' || value === null) return numberBytes
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + jsonBytes(item) + 1, 2)
  return Buffer.byteLength(JSON.stringify(value))
}

const tooLarge = () => new Failure('ANSWER_TOO_LARGE', { bytesMax: String(limits.answerBytesMax) })

/** Makes each field with a value of its own count the bytes of the answer. Beyond the limit it throws ANSWER_TOO_LARGE,
 *  so nothing more is read for this answer. Changes the schema that it is given. */
export const countAnswers = (schema: GraphQLSchema): GraphQLSchema => {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue
    for (const field of Object.values(type.getFields()))
      if (isLeafType(getNamedType(field.type))) field.resolve = counting(field.resolve ?? defaultFieldResolver)
  }
  return schema
}

const counting =
  (resolve: GraphQLFieldResolver<unknown, Context>): GraphQLFieldResolver<unknown, Context> =>
  (source, args, context, info) => {
    const { answer } = context
    const count = (value: unknown) => {
      answer.bytes += String(info.path.key).length + punctuationBytes + jsonBytes(value)
      if (answer.bytes > limits.answerBytesMax) throw tooLarge()
      return value
    }
    if (answer.bytes > limits.answerBytesMax) throw tooLarge()
    const value: unknown = resolve(source, args, context, info)
    return value instanceof Promise ? value.then(count) : count(value)
  }

/** Returns what is sent of a result: an error alone where it is over the limit, and at most `errorsMax` errors. */
const bounded = (result: ExecutionResult, { bytes }: AnswerSize): ExecutionResult => {
  if (bytes > limits.answerBytesMax) return { errors: [graphQLErrorOf(tooLarge())] }
  if (!result.errors || result.errors.length <= errorsMax) return result
  return { ...result, errors: result.errors.slice(0, errorsMax) }
}

const isIterable = (result: unknown): result is AsyncIterable<unknown> =>
  typeof result === 'object' && result !== null && Symbol.asyncIterator in result

/** Bounds the bytes of each answer, and of each event of a subscription, on each transport. */
export const answerSizePlugin = (): Plugin<Context> => ({
  onExecute: ({ args }) => ({
    onExecuteDone: ({ result, setResult }) => {
      if (!isIterable(result)) setResult(bounded(result, args.contextValue.answer))
    },
  }),
  onSubscribe: ({ args }) => ({
    onSubscribeResult: ({ result, setResult }) => {
      const { answer } = args.contextValue
      if (!isIterable(result)) {
        setResult(bounded(result, answer))
        return undefined
      }
      return {
        onNext: (event) => {
          event.setResult(bounded(event.result as ExecutionResult, answer))
          answer.bytes = 0
        },
      }
    },
  }),
})
