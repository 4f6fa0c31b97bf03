import { type Report, reportOf as reportOfAny } from '../infra/system/report.ts'
import { AnswerError } from './answer-error.ts'

/** Returns what the terminal shows of an error, one that the platform has answered with too. */
export const reportOf = (error: unknown): Report => {
  if (!(error instanceof AnswerError)) return reportOfAny(error)
  const { code, message, details } = error
  return { code, message, details }
}
