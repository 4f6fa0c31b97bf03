/** A small neural network that learns by gradient descent, with nothing but plain node:
 *
 *    node train.mjs [--seconds 8] [--steps N]
 *
 *  Two interleaving half moons of noisy points, a network 2-16-1 (tanh, sigmoid), cross entropy, backpropagation by hand.
 *  Measures its own speed first and chooses as many steps as fill the seconds, unless --steps gives a number. Prints
 *  `progress <percent> loss <value>` about four times a second, at the end `accuracy <value>` on points that it never
 *  trained on, and writes what it learnt to model.json in the current folder. The same steps give the same numbers. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

const hidden = 16
const points = 400
const noise = 0.17
const learningRate = 0.2
const reportMs = 250
const measureMs = 200
/** A machine that slows down after it was measured ends early rather than late: at 1.5 times the seconds. */
const patience = 1.5

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '8' }, steps: { type: 'string' } },
})
const seconds = positive('seconds', values.seconds)
const stepsAsked = values.steps === undefined ? undefined : Math.ceil(positive('steps', values.steps))

/** Reads an option that must be a number above zero, or ends the program with the reason. */
function positive(name, text) {
  const value = Number(text)
  if (value > 0 && Number.isFinite(value)) return value
  console.error(`--${name} takes a number above 0, not "${text}"`)
  process.exit(2)
}

/** mulberry32: the same numbers between 0 and 1 for the same seed, on every machine. */
const randomFrom = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
}

const gaussian = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** Points that alternate between two half moons, each with its moon (0 or 1). */
const moons = (random, count) =>
  Array.from({ length: count }, (_, index) => {
    const [moon, angle] = [index % 2, Math.PI * random()]
    const x = moon === 0 ? Math.cos(angle) : 1 - Math.cos(angle)
    const y = moon === 0 ? Math.sin(angle) : 0.5 - Math.sin(angle)
    return { x: x - 0.5 + noise * gaussian(random), y: y - 0.25 + noise * gaussian(random), moon }
  })

const random = randomFrom(2026)
const training = moons(random, points)
const unseen = moons(random, points)
const small = (scale) => Float64Array.from({ length: hidden }, () => scale * gaussian(random))
const model = { fromX: small(1), fromY: small(1), bias: small(0.1), toOutput: small(0.3), outputBias: 0 }
const activation = new Float64Array(hidden)

/** The network's belief that a point is of moon 1, from 0 to 1. Leaves the hidden layer in `activation`. */
const believe = ({ x, y }) => {
  let sum = model.outputBias
  for (let unit = 0; unit < hidden; unit++) {
    const value = Math.tanh(model.fromX[unit] * x + model.fromY[unit] * y + model.bias[unit])
    activation[unit] = value
    sum += model.toOutput[unit] * value
  }
  return 1 / (1 + Math.exp(-sum))
}

const gradient = {
  fromX: new Float64Array(hidden),
  fromY: new Float64Array(hidden),
  bias: new Float64Array(hidden),
  toOutput: new Float64Array(hidden),
}

/** One step of gradient descent over all training points. Gives the mean loss before the step. */
const step = () => {
  for (const part of Object.values(gradient)) part.fill(0)
  let [outputBias, loss] = [0, 0]
  for (const point of training) {
    const belief = believe(point)
    loss -= Math.log(Math.max(point.moon === 1 ? belief : 1 - belief, 1e-12))
    // The derivative of cross entropy through the sigmoid is just the error.
    const error = belief - point.moon
    outputBias += error
    for (let unit = 0; unit < hidden; unit++) {
      gradient.toOutput[unit] += error * activation[unit]
      const back = error * model.toOutput[unit] * (1 - activation[unit] ** 2)
      gradient.fromX[unit] += back * point.x
      gradient.fromY[unit] += back * point.y
      gradient.bias[unit] += back
    }
  }
  const rate = learningRate / points
  for (const [name, part] of Object.entries(gradient))
    for (let unit = 0; unit < hidden; unit++) model[name][unit] -= rate * part[unit]
  model.outputBias -= rate * outputBias
  return loss / points
}

const report = (percent, loss) => console.log(`progress ${percent.toFixed(1)} loss ${loss.toFixed(5)}`)

const started = performance.now()
const elapsedMs = () => performance.now() - started
let stepsTotal = stepsAsked
let reportedMs = 0
for (let taken = 0; taken < (stepsTotal ?? Number.POSITIVE_INFINITY); taken++) {
  const loss = step()
  if (taken === 0) report(0, loss)
  // The first steps ran before the compiler optimized them, so they predict little.
  if (stepsTotal === undefined && elapsedMs() >= measureMs)
    stepsTotal = Math.max(taken + 1, Math.round(((taken + 1) * seconds * 1000) / elapsedMs()))
  else if (stepsAsked === undefined && elapsedMs() > patience * seconds * 1000) stepsTotal = taken + 1
  if (stepsTotal !== undefined && elapsedMs() - reportedMs >= reportMs) {
    reportedMs = elapsedMs()
    report((100 * (taken + 1)) / stepsTotal, loss)
  }
}

const loss = step()
const right = unseen.filter((point) => believe(point) >= 0.5 === (point.moon === 1)).length
report(100, loss)
console.log(`accuracy ${(right / unseen.length).toFixed(4)}`)
const plain = Object.entries(model).map(([name, part]) => [name, typeof part === 'number' ? part : [...part]])
writeFileSync(
  'model.json',
  `${JSON.stringify({ layers: [2, hidden, 1], steps: stepsTotal, loss, ...Object.fromEntries(plain) })}\n`,
)
