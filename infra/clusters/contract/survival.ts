import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { type ContractWorld, recorder, shellJob } from './world.ts'

/** Registers the cases about starting twice, and about outliving the program that started a job. */
export const survivalContract = ({ harness, cluster, reopen, it, logOf, launchUntilReady }: ContractWorld): void => {
  describe('one attempt is one process', () => {
    const ran = 'echo ran; sleep 0.3'
    it('when launched again', async () => {
      const [spec, watchers] = [shellJob(ran), [recorder(), recorder()] as const]
      expect(await cluster().launch(spec, watchers[0])).toBe('launched')
      expect(await cluster().launch(spec, watchers[1])).toBe('adopted')
      for (const { end } of watchers) expect(await end).toEqual({ ended: 'exited', exitCode: 0 })
      for (const { calls } of watchers) expect(calls).toEqual(['started', { ended: 'exited', exitCode: 0 }])
      expect(await logOf(spec)).toBe('ran\n')
    })

    it('when launched by several programs at once', async () => {
      const spec = shellJob(ran)
      const others = [cluster(), harness().open(), harness().open(), harness().open()]
      const watchers = others.map(() => recorder())
      const outcomes = await Promise.all(
        watchers.flatMap((watcher, index) => others[index]?.launch(spec, watcher) ?? []),
      )
      expect(outcomes.sort()).toEqual(['adopted', 'adopted', 'adopted', 'launched'])
      for (const { end } of watchers) expect(await end).toEqual({ ended: 'exited', exitCode: 0 })
      expect(await logOf(spec)).toBe('ran\n')
      for (const other of others) await other.close({ stopJobs: false })
    })

    it('and the next attempt is another', async () => {
      const [first, watchers] = [shellJob('touch mine; ls'), [recorder(), recorder()] as const]
      await cluster().launch(first, watchers[0])
      await watchers[0].end
      expect(await cluster().launch({ ...first, attempt: 2 }, watchers[1])).toBe('launched')
      await watchers[1].end
      expect(await cluster().list()).toEqual([
        { jobId: first.jobId, attempt: 1, running: false },
        { jobId: first.jobId, attempt: 2, running: false },
      ])
    })
  })

  describe('a job that outlives the program that launched it', () => {
    it('is adopted with its last progress and followed to its end', async () => {
      const script =
        'echo progress 10; echo progress 40 so far; echo ready; until [ -e go ]; do sleep 0.05; done; echo progress 90'
      const spec = shellJob(script)
      await harness().launchAndDie(spec)
      await eventually('it is ready', async () => (await logOf(spec)).includes('ready'))
      const watcher = recorder()
      expect(await cluster().launch(spec, watcher)).toBe('adopted')
      await eventually('the progress is reported', () => watcher.percents().length > 0)
      expect(watcher.calls).toEqual(['started', { percent: 40, message: 'so far' }])
      await cluster().stop(spec)
      expect(await watcher.end).toEqual({ ended: 'stopped' })
    })

    it('keeps its timeout from its own start', async () => {
      const spec = shellJob('sleep 60', { timeoutSeconds: 3 })
      await cluster().list()
      await harness().launchAndDie(spec)
      await pause(3000) // its whole time passes while no program watches
      const [watcher, before] = [recorder(), performance.now()]
      await cluster().launch(spec, watcher)
      expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_TIMED_OUT' })
      expect(performance.now() - before).toBeLessThan(2900)
    })

    it('has its end reported though it ended while no program watched', async () => {
      const spec = shellJob('echo progress 100 all; exit 5')
      await harness().launchAndDie(spec)
      await eventually('no process is left', async () => (await harness().processes(spec)) === 0)
      const watcher = recorder()
      expect(await cluster().launch(spec, watcher)).toBe('adopted')
      expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 5 })
      expect(watcher.calls).toEqual(['started', { percent: 100, message: 'all' }, { ended: 'exited', exitCode: 5 }])
    })

    it('is lost when its end is unknown, and is not started again', async () => {
      const spec = shellJob('echo ready; sleep 60')
      await harness().launchAndDie(spec)
      await harness().lose(spec)
      for (const watcher of [recorder(), recorder()]) {
        expect(await cluster().launch(spec, watcher)).toBe('adopted')
        expect(await watcher.end).toEqual({ ended: 'lost' })
      }
      expect(await harness().processes(spec)).toBe(0)
    })

    it('is lost while it is watched', async () => {
      const spec = shellJob('echo ready; sleep 60')
      const watcher = await launchUntilReady(spec)
      await harness().lose(spec)
      expect(await watcher.end).toEqual({ ended: 'lost' })
    })
  })

  describe('closing', () => {
    it('leaves jobs running for the next program, and calls no watcher any more', async () => {
      const spec = shellJob('echo ready; sleep 60')
      const watcher = await launchUntilReady(spec)
      await reopen({ stopJobs: false })
      expect(await harness().processes(spec)).toBeGreaterThan(0)
      expect(await cluster().list()).toEqual([{ jobId: spec.jobId, attempt: 1, running: true }])
      const next = recorder()
      expect(await cluster().launch(spec, next)).toBe('adopted')
      await cluster().stop(spec)
      expect(await next.end).toEqual({ ended: 'stopped' })
      expect(watcher.calls).toEqual(['started'])
    })

    it('ends all jobs on request, and reports them as lost to the next program', async () => {
      const specs = [
        shellJob('echo ready; sleep 60'),
        shellJob('trap "" TERM; echo ready; while :; do sleep 0.05; done'),
      ]
      const watchers = []
      for (const spec of specs) watchers.push(await launchUntilReady(spec))
      await reopen({ stopJobs: true })
      for (const spec of specs) expect(await harness().processes(spec)).toBe(0)
      for (const { calls } of watchers) expect(calls).toEqual(['started'])
      for (const spec of specs) {
        const next = recorder()
        await cluster().launch(spec, next)
        expect(await next.end).toEqual({ ended: 'lost' })
      }
    })
  })
}
