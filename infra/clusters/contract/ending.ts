import { describe, expect } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import type { JobSpec } from '../port.ts'
import { type ContractWorld, recorder, shellJob } from './world.ts'

/** Registers the cases about how a job is ended: one SIGTERM, its grace, SIGKILL; also where no program watches it. */
export const endingContract = ({ harness, cluster, it, logOf, launchUntilReady }: ContractWorld): void => {
  describe('a job that is ended', () => {
    const wait = 'echo ready; while :; do sleep 0.05; done'

    it('gets one SIGTERM and the grace that it set; what its handler starts gets none', async () => {
      const save = 'sh -c \'trap "echo child" TERM; sleep 1; echo saved\''
      const spec = shellJob(`trap 'echo term; ${save.replaceAll("'", "'\\''")}; exit 0' TERM; ${wait}`, {
        graceSeconds: 20,
      })
      const watcher = await launchUntilReady(spec)
      await cluster().stop(spec)
      expect(watcher.calls.at(-1)).toEqual({ ended: 'stopped' })
      expect((await logOf(spec)).split('\n').filter((line) => line !== 'Terminated')).toEqual([
        ...['ready', 'term', 'saved', ''],
      ])
    })

    it('is killed after the grace, with what its handler has started', async () => {
      const spec = shellJob(`trap '(setsid sleep 60 &); sleep 60' TERM; ${wait}`, { graceSeconds: 0.3 })
      const watcher = await launchUntilReady(spec)
      const before = performance.now()
      await cluster().stop(spec)
      expect(performance.now() - before).toBeGreaterThanOrEqual(290)
      expect(watcher.calls.at(-1)).toEqual({ ended: 'stopped' })
      expect(await harness().processes(spec)).toBe(0)
    })

    const stubborn = 'trap "" TERM; (setsid sleep 60 &); while :; do sleep 0.05; done'
    const ends: [string, Partial<JobSpec>, object][] = [
      ['at its timeout', { timeoutSeconds: 1 }, { ended: 'failed', code: 'JOB_TIMED_OUT' }],
      ['at the end of the lease', { leaseSeconds: 1 }, { ended: 'expired' }],
    ]
    for (const [when, change, end] of ends)
      it(`is ended ${when} though no program watches it`, async () => {
        const spec = shellJob(stubborn, { ...change, graceSeconds: 0.2 })
        await harness().launchAndDie(spec)
        await eventually('no process is left', async () => (await harness().processes(spec)) === 0)
        const watcher = recorder()
        expect(await cluster().launch(spec, watcher)).toBe('adopted')
        expect(await watcher.end).toMatchObject(end)
      })

    it('may ask for no more grace than there is', async () => {
      for (const graceSeconds of [-1, 301, Number.NaN, Number.POSITIVE_INFINITY])
        await expect(cluster().launch(shellJob('true', { graceSeconds }), recorder())).rejects.toMatchObject({
          code: 'JOB_INVALID',
        })
    })
  })
}
