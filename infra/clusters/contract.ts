import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { eventually } from '../../testing/eventually.ts'
import { endingContract } from './contract/ending.ts'
import { survivalContract } from './contract/survival.ts'
import { type ClusterHarness, jobSpec, recorder, shellJob } from './contract/world.ts'
import type { Cluster, JobHandle, JobSpec } from './port.ts'

export { type ClusterHarness, jobSpec, recorder, shellJob } from './contract/world.ts'

/** Registers the cases that every engine of the Cluster port must pass. Jobs need `sh` and `node`. A case is skipped
 *  only with a reason. */
export const clusterContract = (
  engine: string,
  setUp: () => Promise<ClusterHarness>,
  skipped: Readonly<Record<string, string>> = {},
): void => {
  describe(`cluster contract: ${engine}`, () => {
    let harness: ClusterHarness
    let cluster: Cluster
    beforeEach(async () => {
      harness = await setUp()
      cluster = harness.open()
    })
    afterEach(async () => {
      await cluster.close({ stopJobs: true })
      await harness.close()
    })

    const it = (name: string, body: () => Promise<void>) =>
      skipped[name] ? test.skip(`${name} (${skipped[name]})`, body) : test(name, body)

    const logOf = async (handle: JobHandle) => (await cluster.readLog(handle, 0, 1_000_000)).text
    const launchUntilReady = async (spec: JobSpec) => {
      const watcher = recorder()
      await cluster.launch(spec, watcher)
      await eventually('the job is ready', async () => (await logOf(spec)).includes('ready'))
      return watcher
    }
    const reopen = async (options: { stopJobs: boolean }) => {
      await cluster.close(options)
      cluster = harness.open()
    }

    describe('a job that runs', () => {
      it('reports its start and its end, and stores both outputs in one log', async () => {
        const [spec, watcher] = [shellJob('echo out; echo err >&2; cat data/in.txt'), recorder()]
        const files = [{ path: 'data/in.txt', content: 'größer 😀\n' }]
        expect(await cluster.launch({ ...spec, files }, watcher)).toBe('launched')
        expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 0 })
        expect(watcher.calls).toEqual(['started', { ended: 'exited', exitCode: 0 }])
        expect(await logOf(spec)).toBe('out\nerr\ngrößer 😀\n')
      })

      it('reports progress in order, the last before the end', async () => {
        const script =
          'for i in 1 2 3 4 5 6; do echo "progress $((i * 10))% step $i"; sleep 0.1; done; echo progress 100 done'
        const watcher = recorder()
        await cluster.launch(shellJob(script), watcher)
        await watcher.end
        const percents = watcher.percents()
        expect(percents).toEqual(percents.toSorted((a, b) => a - b))
        expect(percents.length).toBeGreaterThanOrEqual(2)
        expect(watcher.calls.slice(-2)).toEqual([
          { percent: 100, message: 'done' },
          { ended: 'exited', exitCode: 0 },
        ])
      })

      it('reports the last progress also when it comes shortly before the end', async () => {
        const watcher = recorder()
        await cluster.launch(shellJob('echo progress 1; sleep 0.15; echo progress 99'), watcher)
        await watcher.end
        expect(watcher.percents().at(-1)).toBe(99)
      })

      it('reports many lines of progress as few', async () => {
        const watcher = recorder()
        await cluster.launch(shellJob('i=0; while [ $i -lt 2000 ]; do echo progress 5 $i; i=$((i + 1)); done'), watcher)
        await watcher.end
        expect(watcher.percents().length).toBeLessThan(20)
        expect(watcher.calls.at(-2)).toEqual({ percent: 5, message: '1999' })
      })

      it('gets its environment and no variable of this program', async () => {
        process.env.NEURALMESH_TEST_SECRET = 'secret'
        const spec = jobSpec({
          command: ['node', '-e', 'console.log(JSON.stringify(process.env))'],
          environment: { EPOCHS: '3', QUOTED: 'a "b" $HOME\n`c`' },
        })
        const watcher = recorder()
        await cluster.launch(spec, watcher)
        delete process.env.NEURALMESH_TEST_SECRET
        expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 0 })
        const environment = JSON.parse(await logOf(spec)) as Record<string, string>
        expect(environment).toMatchObject({ ...spec.environment, LANG: 'C.UTF-8', NEURALMESH_JOB: `${spec.jobId}.1` })
        const known = ['EPOCHS', 'HOME', 'LANG', 'NEURALMESH_JOB', 'PATH', 'QUOTED']
        const engines = ['NEURALMESH_FOLDER', 'PWD', 'OLDPWD', 'SHLVL', '_', 'HOSTNAME']
        expect(
          Object.keys(environment)
            .filter((name) => !engines.includes(name))
            .sort(),
        ).toEqual(known)
      })

      it('is read by offset, in whole characters', async () => {
        const spec = shellJob('printf "aä😀b"')
        const watcher = recorder()
        await cluster.launch(spec, watcher)
        await watcher.end
        expect(await cluster.readLog(spec, 0, 4)).toEqual({ text: 'aä', nextOffset: 3 })
        expect(await cluster.readLog(spec, 3, 4)).toEqual({ text: '😀', nextOffset: 7 })
        expect(await cluster.readLog(spec, 7, 100)).toEqual({ text: 'b', nextOffset: 8 })
        expect(await cluster.readLog(spec, 8, 100)).toEqual({ text: '', nextOffset: 8 })
        expect(await cluster.readLog(jobSpec(), 0, 100)).toEqual({ text: '', nextOffset: 0 })
      })
    })

    describe('a job that fails', () => {
      it('reports its exit code', async () => {
        const watcher = recorder()
        await cluster.launch(shellJob('exit 7'), watcher)
        expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 7 })
      })

      it('names the program that does not exist', async () => {
        for (const program of ['no-such-program', './no/such/file']) {
          const watcher = recorder()
          await cluster.launch(jobSpec({ command: [program, 'x'] }), watcher)
          expect(await watcher.end).toEqual({
            ended: 'failed',
            code: 'JOB_COMMAND_NOT_FOUND',
            message: expect.stringContaining(`"${program}"`),
          })
        }
      })

      it('may itself exit with 127', async () => {
        const watcher = recorder()
        await cluster.launch(shellJob('exit 127'), watcher)
        expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 127 })
      })

      it('is stopped at its timeout', async () => {
        const spec = shellJob('sleep 60', { timeoutSeconds: 1 })
        const watcher = recorder()
        await cluster.launch(spec, watcher)
        expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_TIMED_OUT' })
        expect(await harness.processes(spec)).toBe(0)
      })

      it('leaves no process, of many that reach their timeout at once', async () => {
        const jobs = Array.from({ length: 16 }, () => shellJob('sleep 60', { timeoutSeconds: 1 }))
        await Promise.all(
          jobs.map(async (spec) => {
            const watcher = recorder()
            await cluster.launch(spec, watcher)
            expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_TIMED_OUT' })
            expect(await harness.processes(spec)).toBe(0)
          }),
        )
      })

      it('is stopped when all its processes together take more memory than its limit', async () => {
        const hold = `const held = []; setInterval(() => held.length < 10 && held.push(Buffer.alloc(16 << 20, 1)), 20)`
        const spec = shellJob('node -e "$HOLD" & node -e "$HOLD" & wait', {
          environment: { HOLD: hold },
          memoryMib: 300,
        })
        const watcher = recorder()
        await cluster.launch(spec, watcher)
        expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_MEMORY_EXCEEDED' })
        expect(await harness.processes(spec)).toBe(0)
      })

      it('is stopped when it prints without end, and its log is cut', async () => {
        const spec = shellJob('yes')
        const watcher = recorder()
        await cluster.launch(spec, watcher)
        expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_OUTPUT_EXCEEDED' })
        const { nextOffset } = await cluster.readLog(spec, 0, 64 << 20)
        expect(nextOffset).toBeLessThanOrEqual(16 << 20)
      })

      it('is refused when a file would leave its folder, and leaves nothing', async () => {
        for (const path of ['../escaped', '/tmp/escaped', 'a/../../escaped', '..', '.', '', 'a/', 'a\0b']) {
          const spec = jobSpec({ files: [{ path, content: 'x' }] })
          await expect(cluster.launch(spec, recorder())).rejects.toMatchObject({ code: 'JOB_INVALID' })
        }
        for (const jobId of ['../job', 'a/b', '.', '..', ''])
          await expect(cluster.launch(jobSpec({ jobId }), recorder())).rejects.toMatchObject({ code: 'JOB_INVALID' })
        expect(await cluster.list()).toEqual([])
      })
    })

    describe('a job that is stopped', () => {
      it('may end in its own way', async () => {
        const spec = shellJob('trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done')
        const watcher = await launchUntilReady(spec)
        await cluster.stop(spec)
        expect(watcher.calls).toEqual(['started', { ended: 'stopped' }])
        expect(await logOf(spec)).toContain('bye')
      })

      it('is killed when it ignores that', async () => {
        const spec = shellJob('trap "" TERM; echo ready; while :; do sleep 0.05; done')
        const watcher = await launchUntilReady(spec)
        await cluster.stop(spec)
        expect(watcher.calls).toEqual(['started', { ended: 'stopped' }])
        expect(await harness.processes(spec)).toBe(0)
      })

      it('takes its children with it, also such as left its session', async () => {
        const spec = shellJob('sh -c "sleep 60 & sleep 60" & (setsid sh -c "sleep 60; :" &) ; echo ready; wait')
        await launchUntilReady(spec)
        await eventually('all of them run', async () => (await harness.processes(spec)) >= 6)
        await cluster.stop(spec)
        expect(await harness.processes(spec)).toBe(0)
      })

      it('is no error when nothing runs, and changes no end', async () => {
        const [spec, watcher, again] = [shellJob('exit 3'), recorder(), recorder()]
        await cluster.stop(spec)
        await cluster.launch(spec, watcher)
        await watcher.end
        await cluster.stop(spec)
        expect(await cluster.launch(spec, again)).toBe('adopted')
        expect(await again.end).toEqual({ ended: 'exited', exitCode: 3 })
      })

      it('is stopped by a program that never launched it', async () => {
        const spec = shellJob('echo ready; sleep 60')
        await harness.launchAndDie(spec)
        await cluster.stop(spec)
        expect(await harness.processes(spec)).toBe(0)
        const watcher = recorder()
        await cluster.launch(spec, watcher)
        expect(await watcher.end).toEqual({ ended: 'stopped' })
      })
    })

    const world = { harness: () => harness, cluster: () => cluster, reopen, it, logOf, launchUntilReady }
    endingContract(world)
    survivalContract(world)
  })
}
