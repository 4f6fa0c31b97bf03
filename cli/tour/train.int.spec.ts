import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

const program = join(import.meta.dirname, 'train.mjs')

describe('the training program of the tour', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'neuralmesh-train-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const train = async (...options: string[]) => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, ...options], { cwd: folder })
    const lines = stdout.trimEnd().split('\n')
    const progress = lines.slice(0, -1).map((line) => {
      const [, percent, loss] = /^progress (\d+\.\d) loss (\d+\.\d{5})$/.exec(line) ?? []
      return { percent: Number(percent), loss: Number(loss) }
    })
    return { progress, accuracy: Number(/^accuracy (\d\.\d{4})$/.exec(lines.at(-1) ?? '')?.[1]) }
  }

  test('learns for as long as asked: the loss falls from first to last', async () => {
    const { progress } = await train('--seconds', '1')
    const percents = progress.map(({ percent }) => percent)
    expect([percents.at(0), percents.at(-1)]).toEqual([0, 100])
    expect(percents).toEqual(percents.toSorted((a, b) => a - b))
    expect(percents.length).toBeGreaterThanOrEqual(3)
    expect(progress.at(-1)?.loss).toBeLessThan(progress[0]?.loss ?? 0)
    const model = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8'))
    expect(model).toMatchObject({ layers: [2, 16, 1], loss: expect.closeTo(progress.at(-1)?.loss ?? 0, 4) })
    expect(model.toOutput).toHaveLength(16)
  })

  // By steps and not by seconds: a busy machine takes fewer steps in a second, and learns less.
  test('classifies unseen points, and the same steps give the same network', async () => {
    const [first, second] = [await train('--steps', '400'), await train('--steps', '400')]
    expect(first.accuracy).toBeGreaterThan(0.9)
    expect(first.progress.at(-1)).toEqual(second.progress.at(-1))
    expect(first.accuracy).toBe(second.accuracy)
  })

  test.each([
    ['--seconds', 'soon'],
    ['--steps', '0'],
  ])('%s %s is refused with exit code 2', async (option, value) => {
    await expect(train(option, value)).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining(value) })
  })
})
