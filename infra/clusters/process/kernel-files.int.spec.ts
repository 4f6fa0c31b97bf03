// Reads of what a process makes long or slow: they run beside the loop, and end at their limit.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { expect, test } from '@jest/globals'
import { lookAtHeld } from './held.ts'
import { createKernelReader, hasLeft } from './kernel-files.ts'
import { proportionalPages } from './pages.ts'

const mebibyte = 1024 ** 2

/** Runs a program in Perl that prints a line when it is ready, and then waits. */
const withPerl = async <Value>(script: string, work: (pid: number) => Promise<Value>): Promise<Value> => {
  const lead = 'use strict; my ($memfd, $mmap) = qx(uname -m) =~ /aarch64/ ? (279, 222) : (319, 9); $| = 1;'
  const child = spawn('perl', ['-e', `${lead}${script}; print "ready\\n"; sleep 60`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    await once(createInterface({ input: child.stdout }), 'line')
    return await work(child.pid ?? 0)
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

/** Resolves to how long the work took, and how long the loop stood still in it at most. */
const timed = async (work: () => Promise<unknown>) => {
  const begun = performance.now()
  let [last, gapMs] = [begun, 0]
  const look = () => {
    gapMs = Math.max(gapMs, performance.now() - last)
    last = performance.now()
  }
  const timer = setInterval(look, 2)
  await work()
  clearInterval(timer)
  look()
  return { tookMs: last - begun, gapMs }
}

test(
  'the loop goes round while Linux visits what a process has mapped a thousand times',
  () =>
    withPerl(
      `my $name = "x\\0"; my $file = syscall($memfd, $name, 0); open(my $in, '+>&=', $file) or die;
for (1 .. 64) { syswrite($in, 'x' x ${mebibyte}) }
for (1 .. 600) { syscall($mmap, 0, 64 * ${mebibyte}, 1, 0x8001, $file, 0) }`,
      async (pid) => {
        const { tookMs, gapMs } = await timed(() => proportionalPages([pid]))
        expect(tookMs).toBeGreaterThan(60)
        expect(gapMs).toBeLessThan(tookMs / 2)
      },
    ),
  60_000,
)

test(
  'a text that a process makes long ends at its limit, and is no answer',
  () =>
    withPerl(
      `open(my $file, '<', '/bin/sh') or die;
for (1 .. 30_000) { syscall($mmap, 0, 4096, 1, 2, fileno($file), 0) }`,
      async (pid) => {
        const kernel = createKernelReader()
        let characters = 0
        const push = (line: string) => {
          characters += line.length
        }
        expect(await kernel.lines(`/proc/${pid}/maps`, 2 ** 18, push)).toBe('long')
        expect(characters).toBeLessThan(2 ** 20)
        expect(await kernel.lines(`/proc/${pid}/maps`, 2 ** 24, push)).toBeUndefined()
        expect(await kernel.text(`/proc/${pid}/maps`, 2 ** 18)).toEqual({ unread: 'long' })
        expect(await kernel.names(`/proc/${pid}/fd`, 2)).toEqual({ unread: 'long' })
      },
    ),
  60_000,
)

test('what has ended is nothing; what lives and cannot be read is not', async () => {
  const kernel = createKernelReader()
  expect(await kernel.text('/proc/999999999/maps', 1)).toEqual({ unread: 'ended' })
  expect(await kernel.text('/proc/self/task', 1)).toEqual({ unread: 'closed' })
  const none = await lookAtHeld([999_999_999], { uid: undefined, folder: '/' })
  expect(none).toEqual({ mapped: 0, unmapped: 0, diskBytes: 0, diskFiles: 0 })
})

test('a process at whose thread it was read, and which runs on without that thread, was not read', () =>
  withPerl('1', async (pid) => {
    expect(hasLeft(pid, `/proc/${pid}/task/${pid}`)).toBe(false)
    expect(hasLeft(pid, `/proc/${pid}/task/999999999`)).toBe(true)
    expect(hasLeft(999_999_999, '/proc/999999999/task/999999999')).toBe(false)
  }))

/** Looks at processes while Linux takes back what they had: slowly, page by page. Prints how often it met one that
 *  was ending, and what it took for hidden. */
const LOOK_AT_ENDING = `
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { lookAtHeld } from ${JSON.stringify(new URL('held.ts', import.meta.url).href)}
import { lookAtWatches } from ${JSON.stringify(new URL('watches.ts', import.meta.url).href)}
const [withoutLargePages, prctl] = [41, ${process.arch === 'arm64' ? 167 : 157}]
const hidden = []
let ending = 0
for (let count = 0; count < 10; count++) {
  const slowly = 'syscall(' + prctl + ', ' + withoutLargePages + ', 1, 0, 0, 0);'
  const child = spawn('perl', ['-e', '$| = 1;' + slowly + 'my $taken = "x" x (512 * 1024 ** 2); print "ready"; sleep 60'])
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  while (child.signalCode === null) {
    const found = [
      await lookAtWatches([child.pid], { countMax: 1000 }),
      await lookAtHeld([child.pid], { uid: undefined, folder: '/' }),
    ]
    hidden.push(...found.flatMap((one) => one.hidden ?? []))
    ending += found.filter((one) => one.ending?.length === 1).length
  }
}
console.log(JSON.stringify({ ending, hidden }))`

test('a process that is ending hides nothing, also from those who may not see its files', async () => {
  const user = process.getuid?.() === 0 ? { uid: 44_447, gid: 44_447 } : {}
  const child = spawn(process.execPath, ['--input-type=module', '-e', LOOK_AT_ENDING], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH },
    cwd: '/',
    ...user,
  })
  const { ending, hidden } = JSON.parse(await text(child.stdout))
  expect(ending).toBeGreaterThan(0)
  expect(hidden).toEqual([])
}, 120_000)
