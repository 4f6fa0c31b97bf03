/** Lets the processes that write to one busy stream of the log take turns, so that none of them starves. It is fairness,
 *  not safety: what is right is held by the revisions of the log. */
export type Turns = {
  /** Returns whether the processes take turns at this stream at the moment. */
  isContested(stream: string): boolean
  /** Has all processes take turns at this stream for a while. Never throws. */
  contest(stream: string): Promise<void>
  /** Runs work when it is this process's turn. Where no turn can be had, the work runs without one. Resolves and throws
   *  as the work does. */
  exclusively<Result>(stream: string, work: () => Promise<Result>): Promise<Result>
  close(): Promise<void>
}
