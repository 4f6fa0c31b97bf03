import { EventEmitter, once } from 'node:events'
import { describe, expect, test } from '@jest/globals'
import { createShutdown, sameSignalMs } from './shutdown.ts'
import { createLog } from './telemetry.ts'

const world = ({ stopMs }: { stopMs?: number } = {}) => {
  const lines: string[] = []
  const events = new EventEmitter()
  const exits: number[] = []
  const program = Object.assign(events, {
    exit: (code: number) => {
      exits.push(code)
      events.emit('exit', code)
    },
  })
  const log = createLog({ level: 'info', format: 'json' }, { write: (line) => lines.push(line) })
  const order: string[] = []
  const waits: { ms: number; end: () => void }[] = []
  const wait = (ms: number) => new Promise<void>((end) => waits.push({ ms, end }))
  const passSameSignalTime = async () => {
    expect(waits.map(({ ms }) => ms)).toEqual([sameSignalMs])
    waits[0]?.end()
    await Promise.resolve()
  }
  return { shutdown: createShutdown(log, program, wait, stopMs), program, exits, order, lines, passSameSignalTime }
}
const never = () => new Promise<never>(() => {})

test('what was started last is closed first, one after the other', async () => {
  const { shutdown, order } = world()
  for (const name of ['database', 'jobs', 'gateway'])
    shutdown.add(name, async () => {
      order.push(`${name} closing`)
      await Promise.resolve()
      order.push(`${name} closed`)
    })
  expect(await shutdown.stop('test')).toEqual([])
  expect(order).toEqual([
    'gateway closing',
    'gateway closed',
    'jobs closing',
    'jobs closed',
    'database closing',
    'database closed',
  ])
})

test('each part gets the reason of the stop', async () => {
  const { shutdown, order } = world()
  shutdown.add('jobs', (reason) => order.push(reason))
  await shutdown.stop('SIGTERM')
  expect(order).toEqual(['SIGTERM'])
})

test('the signal aborts before anything is closed', async () => {
  const { shutdown, order } = world()
  shutdown.signal.addEventListener('abort', () => order.push('aborted'))
  shutdown.add('database', () => order.push('closed'))
  await shutdown.stop('test')
  expect(order).toEqual(['aborted', 'closed'])
})

test('every part is closed once, however often `stop` is called', async () => {
  const { shutdown, order } = world()
  shutdown.add('database', () => order.push('closed'))
  await Promise.all([shutdown.stop('one'), shutdown.stop('two')])
  await shutdown.stop('three')
  expect(order).toEqual(['closed'])
})

test('one that throws and one that hangs do not keep the others from closing, and are named', async () => {
  const { shutdown, order, lines } = world()
  shutdown.add('database', () => order.push('database closed'))
  shutdown.add('jobs', never, { closeMs: 10 })
  shutdown.add('gateway', () => {
    throw new Error('boom')
  })
  expect(await shutdown.stop('test')).toEqual(['gateway', 'jobs'])
  expect(order).toEqual(['database closed'])
  expect(lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 'error')).toMatchObject([
    { name: 'gateway', err: { message: 'boom' } },
    { name: 'jobs', closeMs: 10 },
  ])
})

describe('a whole stop has its time', () => {
  test.each([
    [5, { closeMs: 60 }],
    [20, {}],
    [3, { closeMs: 1_000 }],
  ])('which %i parts that do not close share, and the last has what is reserved for it', async (count, times) => {
    const { shutdown, order } = world({ stopMs: 100 })
    const given: number[] = []
    shutdown.add('server', (_, msMax) => order.push(msMax >= 70 ? 'closed' : `had ${msMax} ms`), { reservedMs: 70 })
    for (let number = 0; number < count; number += 1)
      shutdown.add(
        `part ${number}`,
        (_, msMax) => {
          given.push(msMax)
          return never()
        },
        { ...times, reservedMs: 1 },
      )
    expect((await shutdown.stop('test')).length).toBe(count)
    expect(order).toEqual(['closed'])
    // The rest of a millisecond and the reserve of each part come on top.
    expect(given.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(100 - 70 + count)
    expect(Math.min(...given)).toBeGreaterThanOrEqual(1)
  })
})

test('a part that is added while stopping is closed too', async () => {
  const { shutdown, order } = world()
  shutdown.add('database', () => order.push('database'))
  shutdown.add('starting', () => shutdown.add('late', () => order.push('late')))
  await shutdown.stop('test')
  shutdown.add('too late', () => order.push('too late'))
  await shutdown.stop('test')
  expect(order).toEqual(['late', 'database', 'too late'])
})

describe('signals', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('%s closes everything and exits with 0', async (signal) => {
    const { shutdown, program, exits, order } = world()
    shutdown.add('database', () => order.push('closed'))
    shutdown.onSignals()
    program.emit(signal, signal)
    await once(program, 'exit')
    expect([order, exits]).toEqual([['closed'], [0]])
  })

  test('exits with 1 when a part did not close', async () => {
    const { shutdown, program, exits } = world()
    shutdown.add('database', () => Promise.reject(new Error('boom')))
    shutdown.onSignals()
    program.emit('SIGTERM', 'SIGTERM')
    await once(program, 'exit')
    expect(exits).toEqual([1])
  })

  const each = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const pairs = each.flatMap((first) => each.map((second) => [first, second] as const))

  test.each(pairs)('%s and %s at the same time are one; the next exits at once', async (first, second) => {
    const { shutdown, program, exits, passSameSignalTime } = world()
    shutdown.add('database', never, { closeMs: 1 })
    shutdown.onSignals()
    program.emit(first, first)
    program.emit(second, second)
    program.emit(second, second)
    expect(exits).toEqual([])
    await passSameSignalTime()
    expect(exits).toEqual([])
    program.emit(second, second)
    expect(exits).toEqual([130])
  })

  test('the returned function removes the listeners', () => {
    const { shutdown, program } = world()
    shutdown.onSignals()()
    expect(program.eventNames()).toEqual([])
  })
})
