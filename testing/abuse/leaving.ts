// Clients that do not wait for their answers, and clients that ask the database for much at once.
import { connect } from 'node:net'
import { worstDocuments } from '../worst-documents.ts'
import { type Attack, ask, attackerAddress, bystanderAddress, type Target, times, unless } from './attack.ts'

const otherMsMax = 3_000
const headCharacters = 15_000

/** Sends a document and leaves after some milliseconds, answered or not. */
const leave = ({ url }: Target, query: string, afterMs: number): Promise<void> =>
  new Promise((resolve) => {
    const { hostname, port, host } = new URL(url)
    const body = JSON.stringify({ query })
    const socket = connect({ host: hostname, port: Number(port), localAddress: attackerAddress })
    const head = `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`
    socket.on('error', () => undefined)
    socket.once('connect', () => {
      socket.write(`${head}\r\n\r\n${body}`)
      setTimeout(() => socket.destroy(), afterMs)
    })
    socket.once('close', () => resolve())
  })

/** Resolves to a complaint unless another guest is answered soon. */
const othersAnswered = async (target: Target): Promise<readonly string[]> => {
  const began = performance.now()
  const answer = await ask(target, '{ listings(first: 1) { nodes { id } } }', {}, { from: bystanderAddress })
  const ms = performance.now() - began
  return [
    ...unless(answer.code === undefined, `another guest heard ${answer.code}`),
    ...unless(target.isShort || ms < otherMsMax, `another guest waited ${Math.round(ms)} ms`),
  ]
}

const hardDocument = (index: number): string => {
  const document = worstDocuments['fields in two branches of each field']?.(`q${index}`) ?? ''
  return `${document} #${'x'.repeat(Math.max(0, headCharacters - document.length))}`
}

const hard: Attack = {
  name: '2,000 hard documents whose clients leave after 30 ms',
  run: async (target) => {
    await times(target.much(2_000, 60), 250, (index) => leave(target, hardDocument(index), 30))
    return othersAnswered(target)
  },
}

const listings = (count: number) =>
  `{ ${Array.from({ length: count }, (_, at) => `a${at}: listings(first: 100) { nodes { id } }`).join(' ')} }`

const heavy: Attack = {
  name: 'queries of 19 lists, 250 at once, whose clients leave',
  run: async (target) => {
    await times(target.much(3_000, 50), 250, () => leave(target, listings(19), 15))
    return othersAnswered(target)
  },
}

const patient: Attack = {
  name: 'queries of 19 lists, 250 at once, whose clients wait',
  run: async (target) => {
    const asking = times(target.much(1_000, 30), 250, () => ask(target, listings(19)))
    await new Promise((resolve) => setTimeout(resolve, 500))
    const served = await othersAnswered(target)
    await asking
    return served
  },
}

export const leavingAttacks: readonly Attack[] = [hard, heavy, patient]
