import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../../domain/errors.ts'
import type { Query } from '../../postgres.ts'
import { errorClassOf, sqlStateClasses } from '../../system/database-errors.ts'
import { newEvent, newStream, to } from '../contract.ts'
import { positionsOf } from '../position.ts'
import { checkAppends } from '../validation.ts'
import { createKnownInPostgres } from './known.ts'
import { createWriter } from './writer.ts'

/** Of this one the door to PostgreSQL makes a failure of its own. */
const diskFull = '53100'

/** All codes of the table: those that stand for many, each with some of the codes that they stand for. */
const codes = [...sqlStateClasses.keys()].flatMap((code) =>
  code.length === 5 ? [code] : ['000', '001', '030', '100', 'P05'].map((rest) => code + rest),
)
const ofClass = (kind: string) => codes.filter((code) => errorClassOf(errorWith(code)) === kind)
const errorWith = (code: string) => Object.assign(new Error('refused by the spec'), { code })

/** Resolves to what three appends of one turn are answered with, and to how many statements they took, when each meets
 *  this code. */
const appendThree = async (code: string) => {
  let statements = 0
  const query = (async () => {
    statements += 1
    throw code === diskFull ? new Failure('DATABASE_FULL', {}, errorWith(code)) : errorWith(code)
  }) as Query
  const known = createKnownInPostgres({ query, storeId: () => 'a', pauseMs: 1 })
  const writer = createWriter({ known, positions: positionsOf('pg-a'), onCommitted: () => undefined })
  const appends = Array.from({ length: 3 }, () => checkAppends([to(newStream(), 'no stream', newEvent())]))
  const settled = await Promise.allSettled(appends.map((append) => writer.append(append)))
  await writer.close()
  return { reasons: settled.map((one) => one.status === 'rejected' && one.reason), statements }
}

describe('appends of one batch that the database answers with', () => {
  test.each(ofClass('outage'))('%s, an outage: all get a failure, and none is tried alone', async (code) => {
    const { reasons, statements } = await appendThree(code)
    expect(statements).toBe(1)
    for (const reason of reasons) {
      expect(reason).toBeInstanceOf(Failure)
      expect((reason as Failure).code).toBe(code === diskFull ? 'DATABASE_FULL' : 'DATABASE_UNAVAILABLE')
      expect((reason as Failure).cause).toMatchObject({ code })
    }
  })

  // A division by zero is the word of our own statements for a log that lacks what is known.
  test.each([...ofClass('value'), ...ofClass('overload')].filter((code) => code !== '22012'))(
    '%s, which one of them may have caused: each is tried alone',
    async (code) => {
      const { reasons, statements } = await appendThree(code)
      expect(statements).toBe(4)
      for (const reason of reasons) expect(reason).toMatchObject({ code })
    },
  )
})
