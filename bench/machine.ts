import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'

/** What the figures hang on besides the code. */
export type Machine = {
  readonly processor: string
  readonly cores: number
  readonly memoryGib: number
  /** How often a second 8 KiB reach the disk, one after the other, where PostgreSQL keeps its data: what a commit
   *  costs. */
  readonly syncsPerSecond: number
  /** Of the last minute, before we began: what else was going on. */
  readonly load: number
  readonly node: string
  /** The day of the run (UTC), as `2026-11-30`. */
  readonly date: string
  /** The commit that was measured, with `+` where files differed from it; empty where there is no repository. */
  readonly commit: string
}

const pageBytes = 8192

const measureSyncs = (forMs: number): number => {
  const path = join(tmpdir(), `neuralmesh-bench-sync-${process.pid}`)
  const file = openSync(path, 'w')
  try {
    const page = Buffer.alloc(pageBytes, 1)
    const pages = 256
    for (let n = 0; n < pages; n += 1) writeSync(file, page, 0, pageBytes, n * pageBytes)
    fdatasyncSync(file)
    const begun = performance.now()
    let syncs = 0
    while (performance.now() - begun < forMs) {
      writeSync(file, page, 0, pageBytes, (syncs % pages) * pageBytes)
      fdatasyncSync(file)
      syncs += 1
    }
    return (syncs * 1000) / (performance.now() - begun)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}

const figuresFiles = ['figures.jsonl', 'README.md'].map((name) => `:(top,exclude)bench/${name}`)

const readCommit = (): string => {
  const git = (...words: string[]) =>
    execFileSync('git', words, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const differs = git('status', '--porcelain', '--untracked-files=no', '--', ':/', ...figuresFiles) !== ''
    return `${git('rev-parse', '--short', 'HEAD').trim()}${differs ? '+' : ''}`
  } catch {
    return ''
  }
}

export const describeMachine = (syncMs: number): Machine => ({
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryGib: Math.round(totalmem() / 2 ** 30),
  syncsPerSecond: Math.round(measureSyncs(syncMs)),
  load: Number((loadavg()[0] ?? 0).toFixed(2)),
  node: process.version,
  date: new Date().toISOString().slice(0, 10),
  commit: readCommit(),
})
